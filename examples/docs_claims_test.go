package examples

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// pages are the documents for users, which must not name what does not exist.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) < 9 {
		t.Fatalf("found %d pages: %v", len(files), err)
	}
	texts := map[string]string{}
	for _, file := range append(files, "../README.md", "pods/README.md", "../kind/README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	return texts
}

var fencedYAML = regexp.MustCompile("(?ms)^ *```yaml\n(.*?)^ *```")

func TestPages_EveryYAMLBlockIsStrictlyPartOfAPodWhoseHelpersAcceptTheirArguments(t *testing.T) {
	found, checked := 0, 0
	for page, text := range pages(t) {
		for _, block := range fencedYAML.FindAllStringSubmatch(text, -1) {
			found++
			data, err := yaml.YAMLToJSONStrict([]byte(block[1]))
			if err != nil {
				t.Errorf("%s: %v in\n%s", page, err, block[1])
				continue
			}
			var pod corev1.Pod
			strict, err := json.UnmarshalStrict(data, &pod)
			if err = errors.Join(append(strict, err)...); err != nil {
				t.Errorf("%s: %v in\n%s", page, err, block[1])
			}
			for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
				if helperOf(c) != "" && len(c.Args) > 0 {
					checked++
					check(t, &pod.Spec, c, nil)
				}
			}
		}
	}
	if found < 6 || checked < 3 {
		t.Errorf("found only %d blocks with %d helpers", found, checked)
	}
}

// help returns what every helper's --help says, by helper.
func help(t *testing.T) map[string]string {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for name := range adminPorts {
		out, err := exec.Command(filepath.Join(bin, name), "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(out)
	}
	return texts
}

// code is every code span and every line of a fenced block.
func code(text string) []string {
	var all []string
	fenced := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			fenced = !fenced
		case fenced:
			all = append(all, strings.TrimSpace(line))
		default:
			for _, span := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(line, -1) {
				all = append(all, span[1])
			}
		}
	}
	return all
}

func TestPages_NameOnlyFlagsThatExist(t *testing.T) {
	known := help(t)
	union := known["sidecar-logshipper"] + known["ambassador-proxy"] + known["adapter-metrics"]
	helper := regexp.MustCompile(`(?:pod-helpers/|bin/amd64/|\b)(sidecar-logshipper|ambassador-proxy|adapter-metrics)(?::dev)?\b(.*)`)
	other := regexp.MustCompile(`^(docker|kubectl|kind|curl)\b`)
	found := 0
	for page, text := range pages(t) {
		for _, line := range code(text) {
			where := union
			if match := helper.FindStringSubmatch(line); match != nil {
				where, line = known[match[1]], match[2]
			} else if other.MatchString(line) {
				continue
			}
			for _, name := range regexp.MustCompile(`(?:^|[\s"\[])(--[a-z][a-z-]+)`).FindAllStringSubmatch(line, -1) {
				found++
				if !regexp.MustCompile(regexp.QuoteMeta(name[1]) + `\b`).MatchString(where) {
					t.Errorf("%s: no flag %s in %q", page, name[1], line)
				}
			}
		}
	}
	if found < 15 {
		t.Errorf("found only %d flags", found)
	}
}

func TestPages_NameOnlySubcommandsThatExist(t *testing.T) {
	known := help(t)
	call := regexp.MustCompile(`\b(sidecar-logshipper|ambassador-proxy|adapter-metrics)"?,? "?([a-z]+)\b`)
	found := 0
	for page, text := range pages(t) {
		for _, line := range code(text) {
			for _, match := range call.FindAllStringSubmatch(line, -1) {
				found++
				if !regexp.MustCompile(`(?m)^  (` + match[1] + ` .*\b)?` + match[2] + `\b`).MatchString(known[match[1]]) {
					t.Errorf("%s: %s has no command %s", page, match[1], match[2])
				}
			}
		}
	}
	if found == 0 {
		t.Error("found no call of a subcommand")
	}
}

func TestPages_NamePathsThatExist(t *testing.T) {
	path := regexp.MustCompile(`^(?:examples|kind|docs|internal|bench|sidecar-logshipper|ambassador-proxy|adapter-metrics|deploy)/[\w./-]*$`)
	for page, text := range pages(t) {
		for _, span := range code(text) {
			if !path.MatchString(span) {
				continue
			}
			candidates := []string{"../" + span}
			for name := range adminPorts {
				candidates = append(candidates, "../"+name+"/"+span)
			}
			if !slices.ContainsFunc(candidates, func(p string) bool { _, err := os.Stat(p); return err == nil }) {
				t.Errorf("%s: %s does not exist", page, span)
			}
		}
	}
}

func TestPages_NameOnlyMetricsThatTheHelpersHave(t *testing.T) {
	exposed := exposition(t)
	metric := regexp.MustCompile(`\b(?:logshipper|ambassador|adapter)_[a-z_]+\b`)
	found := 0
	for page, text := range pages(t) {
		for _, span := range code(text) {
			for _, name := range metric.FindAllString(span, -1) {
				found++
				// a family with labels that have not occurred yet is not exposed: its name is in the program then, with or
				// without the prefix
				_, rest, _ := strings.Cut(name, "_")
				if !strings.Contains(exposed, "# TYPE "+name+" ") && !bytes.Contains(program(t, name), []byte(rest)) {
					t.Errorf("%s: no helper has a metric %s", page, name)
				}
			}
		}
	}
	if found < 4 {
		t.Errorf("found only %d names", found)
	}
}

// program reads the helper to which a metric belongs.
func program(t *testing.T, metric string) []byte {
	t.Helper()
	helpers := map[string]string{"logshipper": "sidecar-logshipper", "ambassador": "ambassador-proxy", "adapter": "adapter-metrics"}
	prefix, _, _ := strings.Cut(metric, "_")
	text, err := os.ReadFile(filepath.Join(binDir, helpers[prefix]))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// exposition runs the three helpers and returns all that they expose.
func exposition(t *testing.T) string {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.log"), []byte("a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "stats.json"), []byte(`{"n":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	args := map[string][]string{
		"sidecar-logshipper": {"--path", filepath.Join(dir, "*.log"), "--to", "file://" + filepath.Join(dir, "out.jsonl"), "--state", "none"},
		"ambassador-proxy":   {"--proxy", "unix:" + filepath.Join(dir, "s") + "=http://127.0.0.1:1"},
		"adapter-metrics":    {"--source", "json+file://" + filepath.Join(dir, "stats.json")},
	}
	var all bytes.Buffer
	for name := range adminPorts {
		address := freeAddress(t)
		cmd := exec.CommandContext(t.Context(), filepath.Join(bin, name), append(args[name], "--admin-address", address)...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		all.Write(fetch(t, "http://"+address+"/metrics", &errs))
	}
	return all.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// fetch asks until the server is there.
func fetch(t *testing.T, url string, errs fmt.Stringer) []byte {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		response, err := http.Get(url)
		if err == nil {
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return body
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v\n%s", err, errs)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
