package tail

import (
	"fmt"
	"testing"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
)

// What is looked at every 5 s, and saved each second while any file is busy, is garbage that an idle shipper holds.
func TestIdleFiles_CostNextToNoAllocationsWhenTheyAreLookedAtAndSaved(t *testing.T) {
	const files = 100
	dir := t.TempDir()
	for i := range files {
		put(t, fmt.Sprintf("%s/%03d.log", dir, i), fmt.Sprintf("the only line of file %d\n", i))
	}
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	readAll(s)
	for _, c := range []struct {
		name   string
		do     func()
		budget float64 // for each file
	}{
		{"refresh", func() { s.refresh() }, 2},
		{"Snapshot", func() { s.dirty = true; s.Snapshot() }, 3},
		{"scan", s.scan, 20},
	} {
		if n := testing.AllocsPerRun(5, c.do) / files; n > c.budget {
			t.Errorf("%s: %.1f allocations for each file, want at most %.0f", c.name, n, c.budget)
		}
	}
}
