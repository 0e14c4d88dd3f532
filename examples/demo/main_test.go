package main

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHelp_NamesEveryProgram(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"show", "app", "upstream", "sink", "kill", "certs", "volumes"} {
		if !strings.Contains(out.String(), "demo "+program) {
			t.Errorf("--help does not name %s", program)
		}
	}
}

func TestUnknownProgram_IsNamed(t *testing.T) {
	err := run(t.Context(), []string{"ap"}, nil)
	if err == nil || !strings.Contains(err.Error(), `no program "ap"`) {
		t.Errorf("got %v", err)
	}
}

func TestVolumes_HaveTheFilesThatThePodMounts(t *testing.T) {
	dir := t.TempDir()
	if err := run(t.Context(), []string{"volumes", "../pods/all-three.yaml", dir}, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config/logshipper.yaml", "config/ambassador.yaml", "config/adapter.yaml", "logs", "state"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if err := run(t.Context(), []string{"volumes", "../pods/all-three.yaml"}, nil); err == nil {
		t.Error("took one argument for two")
	}
}

// start runs the demonstration as make demo does, but shorter, and hands over what it prints, line by line.
func start(t *testing.T, env ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program, "show", "--duration=6s")
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewScanner(stdout)
}

// everything is the rest of what the demonstration prints.
func everything(lines *bufio.Scanner) string {
	var rest strings.Builder
	for lines.Scan() {
		rest.WriteString(lines.Text() + "\n")
	}
	return rest.String()
}

func answers(url string) bool {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

var link = regexp.MustCompile(`http://[\w.:/-]+`)

// The real thing, shorter: real helpers, real files, real sockets and TLS.
func TestDemo_HoldsAllThreePatternsStaysUpAtThePrintedURLsUntilCtrlCAndLeavesNothing(t *testing.T) {
	cmd, lines := start(t, "KEEP=1")
	var before strings.Builder
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Staying up.") {
		before.WriteString(lines.Text() + "\n")
	}
	dir := filepath.Dir(regexp.MustCompile(`\S+/\*\.out`).FindString(before.String()))
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the directory that it names: %v in\n%s", err, &before)
	}
	var urls []string
	for range 6 {
		lines.Scan()
		urls = append(urls, link.FindAllString(lines.Text(), -1)...)
	}
	if len(urls) != 8 {
		t.Errorf("it names %q", urls)
	}
	for _, url := range urls {
		if !answers(url) {
			t.Errorf("%s does not answer", url)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest := everything(lines)
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	said := before.String() + rest
	for _, want := range []string{"written", "the receiver is switched off", "Prometheus reads", "0 lost", "verdict: all three patterns held"} {
		if !strings.Contains(said, want) {
			t.Errorf("it never says %q:\n%s", want, said)
		}
	}
	left(t, dir, urls)
}

func TestCtrlC_EndsTheDemonstrationAtOnceAndLeavesNothing(t *testing.T) {
	cmd, lines := start(t)
	dir := ""
	for lines.Scan() && !strings.Contains(lines.Text(), "on its way") { // the figures follow
		if name := regexp.MustCompile(`\S+/\*\.out`).FindString(lines.Text()); name != "" {
			dir = filepath.Dir(name)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest := everything(lines)
	if err := cmd.Wait(); err == nil || strings.Contains(rest, "verdict") {
		t.Errorf("ended with %v:\n%s", err, rest)
	}
	left(t, dir, nil)
}

// left fails the test when a process, a listener or the directory of the demonstration has outlived it.
func left(t *testing.T, dir string, urls []string) {
	t.Helper()
	for _, url := range urls {
		if answers(url) {
			t.Errorf("%s still answers", url)
		}
	}
	if _, err := os.Stat(dir); dir == "" || !os.IsNotExist(err) {
		t.Errorf("directory %q: %v", dir, err)
	}
	links, err := filepath.Glob("/proc/[0-9]*/cwd") // every process of the Pod works in the directory
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range links {
		if at, err := os.Readlink(name); err == nil && strings.HasPrefix(at, dir) {
			t.Errorf("%s is in %s", name, at)
		}
	}
}
