//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

// pages are the documents for users. Tests run the kubectl commands in them as they stand, in the tests' namespace; what is
// left at the end makes the run fail.
type pages struct {
	dir        string // of the kubeconfig
	kubeconfig string
	path       string

	mu  sync.Mutex
	ran map[string]bool // by command; every command of the pages is a key
}

// readPages finds the commands, and writes a kubeconfig whose namespace is that of the tests.
func readPages(kubeconfig string) (*pages, error) {
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, err
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	dir, err := os.MkdirTemp("", "pod-helpers-e2e-")
	if err != nil {
		return nil, err
	}
	// a cluster that was started for the run has a kubectl of its own
	p := &pages{dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig"), path: os.Getenv("PATH") + ":" + filepath.Join(filepath.Dir(kubeconfig), "bin"), ran: map[string]bool{}}
	if err := clientcmd.WriteToFile(*config, p.kubeconfig); err != nil {
		return nil, err
	}
	for _, pattern := range []string{"../../README.md", "../../*/README.md", "../../*/deploy/README.md", "../../docs/*.md", "../*/README.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			for _, command := range commands(string(text)) {
				p.ran[command] = false
			}
		}
	}
	return p, nil
}

func (p *pages) close() { os.RemoveAll(p.dir) }

var span = regexp.MustCompile("`([^`]+)`")

// commands are the code spans and the lines of fenced blocks that call kubectl.
func commands(text string) (all []string) {
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		candidates := []string{line}
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		if !fenced {
			candidates = nil
			for _, match := range span.FindAllStringSubmatch(line, -1) {
				candidates = append(candidates, match[1])
			}
		}
		for _, c := range candidates {
			if strings.HasPrefix(c, "kubectl ") || strings.Contains(c, "| kubectl ") {
				all = append(all, c)
			}
		}
	}
	return all
}

// prepare returns the shell that runs a command of the pages. with are pairs: what stands in the page for a name, and the
// name.
func (p *pages) prepare(ctx context.Context, command string, with ...string) (*exec.Cmd, error) {
	p.mu.Lock()
	_, known := p.ran[command]
	p.ran[command] = true
	p.mu.Unlock()
	if !known {
		return nil, fmt.Errorf("no page has the command %q", command)
	}
	with = append(with, "/namespaces/default/", "/namespaces/"+namespace+"/")
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -o pipefail; "+strings.NewReplacer(with...).Replace(command))
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+p.kubeconfig, "PATH="+p.path)
	return cmd, nil
}

// run runs a command of the pages and returns what it printed.
func (p *pages) run(ctx context.Context, command string, with ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	cmd, err := p.prepare(ctx, command, with...)
	if err != nil {
		return "", err
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", command, err, &out, &errs)
	}
	return out.String(), nil
}

func (p *pages) neverRun() (left []string) {
	for command, ran := range p.ran {
		if !ran {
			left = append(left, command)
		}
	}
	slices.Sort(left)
	return left
}

// documented runs a command of the pages; it has to succeed.
func documented(t *testing.T, command string, with ...string) string {
	t.Helper()
	out, err := docs.run(t.Context(), command, with...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// forwarded runs a kubectl port-forward of the pages until the test ends, and returns where each of the Pod's ports can be
// asked. Another program may have the port that the page names: the local one is whichever is free.
func forwarded(t *testing.T, command string, with ...string) map[string]string {
	t.Helper()
	ports := regexp.MustCompile(` \d+`).FindAllString(command, -1)
	for _, port := range ports {
		with = append(with, port, " :"+port[1:])
	}
	cmd, err := docs.prepare(t.Context(), command, with...)
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	urls := map[string]string{}
	for lines := bufio.NewScanner(stdout); len(urls) < len(ports) && lines.Scan(); {
		if match := regexp.MustCompile(`(127\.0\.0\.1:\d+) -> (\d+)`).FindStringSubmatch(lines.Text()); match != nil {
			urls[match[2]] = "http://" + match[1]
		}
	}
	if len(urls) < len(ports) {
		t.Fatalf("%s: forwards %v\n%s", command, urls, &errs)
	}
	go io.Copy(io.Discard, stdout) // until it is killed
	return urls
}

// page gets a page that has to be there.
func page(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v\n%s", url, response.Status, err, text)
	}
	return string(text)
}
