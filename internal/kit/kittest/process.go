package kittest

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Process is a program that a test has started. It is killed when the test ends.
type Process struct {
	*exec.Cmd
	Stdout, Stderr *Buffer

	t      testing.TB
	exited chan struct{}
}

// Start runs a program; one that Main was given is found by its name. Extra environment stands in env as KEY=value.
func Start(t testing.TB, env []string, name string, args ...string) *Process {
	t.Helper()
	p := &Process{Cmd: exec.Command(name, args...), Stdout: &Buffer{}, Stderr: &Buffer{}, t: t, exited: make(chan struct{})}
	p.WaitDelay = 2 * time.Second // a server may leave workers behind that hold its pipes
	p.Cmd.Stdout, p.Cmd.Stderr, p.Env = p.Stdout, p.Stderr, append(os.Environ(), env...)
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.Cmd.Wait(); close(p.exited) }()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s %s\n%s", name, strings.Join(args, " "), p.Stderr)
		}
	})
	return p
}

// Signal sends a signal; SIGKILL is kill -9.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Wait returns the exit code and fails the test when the program is still there after limit. A signal counts as -1.
func (p *Process) Wait(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.ProcessState.ExitCode()
	case <-time.After(limit):
		p.t.Fatalf("%s still runs after %s\n%s", p.Path, limit, p.Stderr)
		return 0
	}
}

// WaitReady returns when the admin server at address says ready.
func (p *Process) WaitReady(address string) {
	p.t.Helper()
	Eventually(p.t, 10*time.Second, func() bool {
		select {
		case <-p.exited:
			p.t.Fatalf("%s ended before it was ready\n%s", p.Path, p.Stderr)
		default:
		}
		status, _ := Get("http://" + address + "/readyz")
		return status == http.StatusOK
	}, p.Path+" to be ready")
}

// Get is a GET whose status is 0 when there was no answer.
func Get(url string) (status int, body string) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	var b bytes.Buffer
	_, _ = b.ReadFrom(response.Body)
	return response.StatusCode, b.String()
}

// scriptCommands are what all scripts may use beside the helper itself:
//
//	waitready ADDRESS      until the admin server there says ready
//	waitfile FILE TEXT     until the file contains the text
//	append FILE TEXT       a line at the end of a file, as an app writes it
//	get URL [TEXT]         prints the body, fails unless the status is 200; waits until the body has the text
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"waitready": func(ts *testscript.TestScript, _ bool, args []string) {
			poll(ts, "ready: "+args[0], func() bool { s, _ := Get("http://" + args[0] + "/readyz"); return s == 200 })
		},
		"waitfile": func(ts *testscript.TestScript, _ bool, args []string) {
			poll(ts, strings.Join(args, ": "), func() bool {
				data, _ := os.ReadFile(ts.MkAbs(args[0]))
				return strings.Contains(string(data), args[1])
			})
		},
		"append": func(ts *testscript.TestScript, _ bool, args []string) {
			f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			ts.Check(err)
			_, err = fmt.Fprintln(f, strings.Join(args[1:], " "))
			ts.Check(err)
			ts.Check(f.Close())
		},
		"get": func(ts *testscript.TestScript, neg bool, args []string) {
			status, body := Get(args[0])
			if len(args) > 1 {
				poll(ts, args[1]+" at "+args[0], func() bool { status, body = Get(args[0]); return strings.Contains(body, args[1]) })
			}
			fmt.Fprintln(ts.Stdout(), body)
			if (status == 200) == neg {
				ts.Fatalf("GET %s: status %d\n%s", args[0], status, body)
			}
		},
	}
}

func poll(ts *testscript.TestScript, waitingFor string, condition func() bool) {
	for deadline := time.Now().Add(15 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("after 15 s still waiting for %s", waitingFor)
		}
	}
}
