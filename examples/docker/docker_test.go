//go:build docker

// Package docker holds what the README and run-pod.sh promise to somebody who has Docker and no cluster. The images have
// been built: make e2e-docker.
package docker

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// oneMinute is a docker run of the README, and what it says to do elsewhere meanwhile.
type oneMinute struct{ run, elsewhere string }

func readmeRuns(t *testing.T) map[string]oneMinute {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	runs := map[string]oneMinute{}
	for _, match := range regexp.MustCompile(`(?m)^(?:mkdir.* && )?(docker run .*pod-helpers/([a-z-]+):dev.*)\n#   elsewhere: (.*)$`).FindAllStringSubmatch(string(text), -1) {
		runs[match[2]] = oneMinute{match[1], match[3]}
	}
	if len(runs) != 3 {
		t.Fatalf("found %v", runs)
	}
	return runs
}

// start runs the README's command in a directory, under a name, and with host ports that are free. It returns what the
// container prints, and the host's address of each of its ports.
func (o oneMinute) start(t *testing.T, dir string) (*bufio.Scanner, map[string]string) {
	t.Helper()
	name := fmt.Sprintf("readme-%d-%d", os.Getpid(), time.Now().UnixNano())
	command := regexp.MustCompile(`-p \d+:`).ReplaceAllString(o.run, "-p 127.0.0.1::")
	command = strings.Replace(command, "docker run ", "exec docker run --name "+name+" ", 1)
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir = dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("docker", "stop", "-t", "5", name).Run()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(errs.String())
		}
		if exec.Command("docker", "inspect", name).Run() == nil {
			t.Errorf("the container is left")
		}
	})
	ports := map[string]string{}
	eventually(t, func() error {
		out, err := exec.Command("docker", "port", name).Output()
		for _, match := range regexp.MustCompile(`(?m)^(\d+)/\w+ -> (\S+)$`).FindAllStringSubmatch(string(out), -1) {
			ports[match[1]] = match[2]
		}
		if want := strings.Count(o.run, " -p "); err == nil && len(ports) != want {
			err = fmt.Errorf("%d ports of %d", len(ports), want)
		}
		return err
	})
	return bufio.NewScanner(stdout), ports
}

// try does what the README says to do elsewhere, until it answers as wanted.
func (o oneMinute) try(t *testing.T, dir string, ports map[string]string, want string) {
	t.Helper()
	command := o.elsewhere
	for port, address := range ports {
		host, local, _ := strings.Cut(address, ":")
		command = strings.NewReplacer("localhost:"+port, address, "localhost/"+port, host+"/"+local).Replace(command)
	}
	eventually(t, func() error {
		cmd := exec.Command("bash", "-c", command)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err == nil && !regexp.MustCompile(want).Match(out) {
			err = fmt.Errorf("no %q", want)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w\n%s", command, err, out)
		}
		return err
	})
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestREADME_LogshipperPrintsALineThatIsWrittenMeanwhile(t *testing.T) {
	t.Parallel()
	dir, o := t.TempDir(), readmeRuns(t)["sidecar-logshipper"]
	if err := os.Mkdir(dir+"/logs", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the helper is another user
		t.Fatal(err)
	}
	printed, _ := o.start(t, dir)
	o.try(t, dir, nil, "")
	if !printed.Scan() || !strings.Contains(printed.Text(), "hello") {
		t.Errorf("it printed %q", printed.Text())
	}
}

// Where there is no way to example.com the answer is the ambassador's own.
func TestREADME_AmbassadorAnswersForTheFarAddress(t *testing.T) {
	t.Parallel()
	o := readmeRuns(t)["ambassador-proxy"]
	_, ports := o.start(t, t.TempDir())
	o.try(t, "", ports, `(?i)Example Domain|x-ambassador-error: \w+`)
}

func TestREADME_AdapterTurnsAPacketIntoAMetric(t *testing.T) {
	t.Parallel()
	o := readmeRuns(t)["adapter-metrics"]
	_, ports := o.start(t, t.TempDir())
	o.try(t, "", ports, `(?m)^orders_total [1-9]`)
}

func TestRunPod_StaysUpUntilCtrlCAndThenGivesItsVerdict(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("./run-pod.sh")
	cmd.Env = append(os.Environ(), "KEEP=1", "SECONDS_UP=4")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a terminal has it: Ctrl-C is for the whole group
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "staying up: ") {
	}
	urls := regexp.MustCompile(`http://\S+`).FindAllString(lines.Text(), -1)
	if len(urls) != 4 {
		t.Errorf("it names %q", lines.Text())
	}
	for _, url := range urls {
		response, err := http.Get(url)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %v", url, err)
			continue
		}
		response.Body.Close()
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var rest strings.Builder
	for lines.Scan() {
		fmt.Fprintln(&rest, lines.Text())
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(rest.String(), "verdict: all three patterns held") {
		t.Errorf("ended with %v:\n%s", err, &rest)
	}
	left, err := exec.Command("docker", "ps", "-aq", "--filter", fmt.Sprintf("label=pod-helpers-%d", cmd.Process.Pid)).Output()
	if err != nil || len(left) > 0 {
		t.Errorf("containers are left: %s, %v", left, err)
	}
	if err := syscall.Kill(-cmd.Process.Pid, 0); err == nil {
		t.Error("a process of the script is left")
	}
}
