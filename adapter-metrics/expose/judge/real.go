package judge

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// strictPython reads OpenMetrics with the parser that knows all 211 vectors of the specification.
const strictPython = `
import sys
from prometheus_client.openmetrics import parser
n = 0
for f in parser.text_string_to_metric_families(sys.stdin.read()):
    n += len(f.samples)
print(n)
`

// Python fails the test when prometheus_client's strict parser refuses a page of OpenMetrics 1.0 with classic names.
func Python(t testing.TB, page string) {
	t.Helper()
	kittest.NeedReal(t, "/usr/bin/python3")
	cmd := exec.Command("/usr/bin/python3", "-c", strictPython)
	cmd.Stdin = strings.NewReader(page)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, page)
	}
}

// Promtool returns what promtool finds in a page of text 0.0.4, and fails the test when it cannot read it.
func Promtool(t testing.TB, page string) string {
	t.Helper()
	kittest.NeedReal(t, "promtool")
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(page)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	const found = 3 // its exit code for names that it would not choose
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != found {
		t.Errorf("promtool: %v\n%s\n%s", err, out.String(), page)
	}
	return out.String()
}
