package kit_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// A preStop hook says quit, and the kubelet sends its SIGTERM as soon as the hook has returned.
func TestQuit_AndTheSignalThatFollowsItIsOneDrain(t *testing.T) {
	p, address := startToy(t, nil, "--drain-quiet", "1s")
	post(t, address, "/-/quit", 200)
	kittest.Eventually(t, 5*time.Second, func() bool { return strings.Contains(p.Stderr.String(), "because=quit") }, "the drain to begin")
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(10 * time.Second); code != 0 || !strings.Contains(p.Stderr.String(), "msg=drained") {
		t.Errorf("exit code %d, want a drain and 0:\n%s", code, p.Stderr)
	}
}

func TestQuit_AndTwoSignalsStopAtOnce(t *testing.T) {
	p, address := startToy(t, nil, "--greeting", "busy", "--drain-quiet", "1m", "--drain-timeout", "2m")
	post(t, address, "/-/quit", 200)
	p.Signal(syscall.SIGTERM)
	p.Signal(syscall.SIGINT)
	if code := p.Wait(5 * time.Second); code != 3 || !strings.Contains(p.Stderr.String(), "second signal") {
		t.Errorf("exit code %d, want 3:\n%s", code, p.Stderr)
	}
}

func TestSignals_AreHeardWhileAReloadTakesItsTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	write(t, file, "drain_quiet: 1m\ndrain_timeout: 2m\n")
	p, _ := startToy(t, nil, "--config", file)
	write(t, file, "greeting: stuck\n")
	p.Signal(syscall.SIGHUP)
	for _, sign := range []string{"takes its time", "draining"} {
		kittest.Eventually(t, 5*time.Second, func() bool { return strings.Contains(p.Stderr.String(), sign) }, sign)
		p.Signal(syscall.SIGTERM)
	}
	if code := p.Wait(5 * time.Second); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
}

func TestReload_IsRefusedWhenTheServiceCloses(t *testing.T) {
	p, _ := startToy(t, nil, "--greeting", "late", "--drain-quiet", "10ms")
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(5 * time.Second); code != 0 || !strings.Contains(p.Stderr.String(), "reload while closing: 422") {
		t.Errorf("exit code %d:\n%s", code, p.Stderr)
	}
}

func TestConfig_OfAPipeIsReadOnceAndKept(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "config")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(fifo, []byte("greeting: piped\n"), 0) }()
	p, address := startToy(t, nil, "--config", fifo, "--drain-quiet", "10ms")
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if !says(address, "greeting: piped") {
		t.Error("what the pipe said is lost")
	}
	post(t, address, "/-/reload", 422)
	if !says(address, "greeting: piped") {
		t.Error("a reload has lost what the pipe said")
	}
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(5 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// The old configuration is at work then, and a liveness probe that fails would take it down.
func TestHealthcheck_FindsTheHelperThoughItsFileIsBrokenNow(t *testing.T) {
	file, address := filepath.Join(t.TempDir(), "c.yaml"), kittest.FreeAddress(t)
	write(t, file, "admin_address: "+address+"\n")
	kittest.Start(t, nil, "toy", "--config", file).WaitReady(address)
	for _, mistake := range []string{"greting: unknown key", "pets: [", "log_level: loud"} {
		write(t, file, mistake+"\nadmin_address: "+address+"\n")
		check := kittest.Start(t, nil, "toy", "healthcheck", "--config", file)
		if code := check.Wait(5 * time.Second); code != 0 {
			t.Errorf("%s: exit code %d: %s", mistake, code, check.Stderr)
		}
	}
}

func TestReload_SaysWhatNeedsARestart(t *testing.T) {
	for _, change := range []string{"log_format: json", "debug_endpoints: true", "admin_address: :1"} {
		file, address := filepath.Join(t.TempDir(), "c.yaml"), kittest.FreeAddress(t)
		write(t, file, "admin_address: "+address+"\n")
		p := kittest.Start(t, nil, "toy", "--config", file)
		p.WaitReady(address)
		write(t, file, "greeting: hello\nadmin_address: "+address+"\n")
		post(t, address, "/-/reload", 200)
		if strings.Contains(p.Stderr.String(), "restart") {
			t.Errorf("a greeting needs no restart:\n%s", p.Stderr)
		}
		key, _, _ := strings.Cut(change, ":")
		if key != "admin_address" {
			change += "\nadmin_address: " + address
		}
		write(t, file, change+"\n")
		post(t, address, "/-/reload", 200)
		kittest.Eventually(t, 5*time.Second, func() bool { return strings.Contains(p.Stderr.String(), "need a restart") }, "the log to say that "+key+" needs a restart")
	}
}
