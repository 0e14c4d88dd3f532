package kill

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestKill_EndsTheNamedProcessWithSIGKILL(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(t.TempDir(), "victim-"+rand.Text())
	if err := os.WriteFile(victim, data, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(victim, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Main(ctx, []string{"--name", filepath.Base(victim), "--after", "0s"}) }()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the victim ended with %v", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestKill_SaysWhyItFindsNoProcess(t *testing.T) {
	err := Main(t.Context(), []string{"--name", "nobody-is-called-that", "--after", "0s"})
	if err == nil || !strings.Contains(err.Error(), "share its process namespace") {
		t.Errorf("got %v", err)
	}
}
