package sample_test

import (
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

func TestAppendSnake_ReadsWhateverCaseTheAppUses(t *testing.T) {
	for in, want := range map[string]string{
		"linesWritten": "lines_written", "HTTPServer": "http_server", "used-bytes": "used_bytes", "a b": "a_b",
		"5xx": "_5xx", "p99Latency": "p99_latency", "GC": "gc", "x.y/z": "x_y_z", "é": "__", "snake_case": "snake_case",
	} {
		if got := string(sample.AppendSnake(nil, []byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
