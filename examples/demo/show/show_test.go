package show

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The real thing, shorter: real helpers, real files, real sockets and TLS.
func TestDemo_HoldsAllThreePatternsThroughRotationAndOutage(t *testing.T) {
	program := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.Command("go", "build", "-o", program, "..").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out bytes.Buffer
	if err := Run(t.Context(), &out, Options{Root: "../../..", Program: program, Duration: 8 * time.Second}); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{"written", "the receiver is switched off", "Prometheus reads", "0 lost", "verdict: all three patterns held"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &out)
		}
	}
	t.Log(out.String())
}
