package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// TestErrors_SayWhatIsWrongWhereAndWhatHelps holds the texts that a person sees first when something is wrong.
func TestErrors_SayWhatIsWrongWhereAndWhatHelps(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	config := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const fine = "outputs: [{stdout: {}}]\n"
	notADirectory := config("file", "")
	var got strings.Builder
	for _, c := range []struct {
		what string
		args []string
	}{
		{"no flags", nil},
		{"an unknown flag", []string{"--pth", "x", "--to", "stdout:"}},
		{"a flag without its value", []string{"--path"}},
		{"a value of the wrong type", []string{"--path", "x", "--to", "stdout:", "--drain-timeout", "soon", "--memory", "much"}},
		{"a malformed glob", []string{"--path", "[", "--to", "stdout:"}},
		{"an unknown output", []string{"--path", "x", "--to", "carrier-pigeon://x"}},
		{"a malformed multiline rule", []string{"--path", "x", "--to", "stdout:", "--multiline", "("}},
		{"bad YAML", []string{"--config", config("bad.yaml", "inputs:\n  - paths: [x\noutputs: 1\n")}},
		{"unknown keys", []string{"--config", config("unknown.yaml", "inputs:\n  - path: [x]\n    multilin: {}\n"+fine)}},
		{"wrong types", []string{"--config", config("types.yaml", "inputs:\n  - paths: {a: b}\n    max_line: long\nmemory: [1]\n"+fine)}},
		{"wrong values", []string{"--config", config("values.yaml", "inputs:\n  - paths: [x]\n    format: xml\n    max_line: 100\nstart: middle\non_full: explode\n"+fine)}},
		{"a missing configuration", []string{"--config", filepath.Join(dir, "none.yaml")}},
		{"a state directory that is none", []string{"--path", "x", "--to", "stdout:", "--state", notADirectory, "--admin-address", "127.0.0.1:0"}},
		{"a port in use", []string{"--path", "x", "--to", "stdout:", "--state", "none", "--admin-address", taken.Addr().String()}},
	} {
		p := kittest.Start(t, nil, "sidecar-logshipper", c.args...)
		code := p.Wait(10 * time.Second)
		fmt.Fprintf(&got, "# %s: exit code %d\n%s\n", c.what, code, p.Stderr)
		if code == 0 {
			t.Errorf("%s: exit code 0", c.what)
		}
	}
	text := strings.ReplaceAll(strings.ReplaceAll(got.String(), dir, "DIR"), taken.Addr().String(), "ADDRESS")
	text = regexp.MustCompile(`\(known: http\+jsonl.*\)`).ReplaceAllString(text, "(known: SCHEMES)")
	kittest.Golden(t, "errors.txt", regexp.MustCompile(`time=\S+`).ReplaceAllString(text, "time=NOW"))
}
