package show

import (
	"fmt"
	"strings"

	"github.com/pod-helpers/pod-helpers/examples/demo/sink"
)

// verdict compares what went in with what came out, after everybody has stopped.
func (w *watcher) verdict() error {
	written, err := w.pod.linesWritten()
	if err != nil {
		return err
	}
	var got sink.Counts
	if err := get(w.pod.sink+"/counts", &got); err != nil {
		return err
	}
	calls, failed := w.last.calls()
	backend := w.last.backendFailures()
	rows := []struct {
		held bool
		says string
	}{
		{
			written > 0 && got.Distinct == written && got.Missing == 0 && w.last.app.Log.Rotations >= 2 && got.Refused > 0,
			fmt.Sprintf("sidecar     %d lines written, %d received, %d lost, %d twice; %d rotations, %d batches refused during the outage",
				written, got.Distinct, written-got.Distinct, got.Duplicates, w.last.app.Log.Rotations, got.Refused),
		},
		{
			calls > 0 && failed == 0 && backend > 0 && w.last.retries() >= backend && w.last.counted > 0,
			fmt.Sprintf("ambassador  %d calls, %d failed at the backend, %d retried, %d errors seen by the app",
				calls, backend, w.last.retries(), failed),
		},
		{
			w.values > 0 && w.wrong == 0,
			fmt.Sprintf("adapter     %d values compared with a parsed scrape, %d differ", w.values, w.wrong),
		},
		{
			len(w.problems) == 0,
			"stop        the app first, then the helpers in reverse order, each with exit code 0" + strings.Join(append([]string{""}, w.problems...), "\n        "),
		},
	}
	all := true
	fmt.Fprintln(w.out)
	for _, row := range rows {
		mark := "held"
		if !row.held {
			mark, all = "FAILED", false
		}
		fmt.Fprintf(w.out, "   %-6s  %s\n", mark, row.says)
	}
	if !all {
		fmt.Fprintln(w.out, "\nverdict: FAILED")
		return ErrNotHeld
	}
	fmt.Fprintln(w.out, "\nverdict: all three patterns held")
	return nil
}
