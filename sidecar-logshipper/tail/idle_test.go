package tail

import (
	"fmt"
	"os"
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

func TestSoiled_ReceivesWhenThereIsSomethingToSaveAndNotWhenIdleFilesAreLookedAt(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", "one\n")
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	readAll(s)
	soiled := func() bool {
		select {
		case <-s.Soiled():
			return true
		default:
			return false
		}
	}
	for _, c := range []struct {
		after string
		do    func()
		want  bool
	}{
		{"a first file", func() {}, true},
		{"looks at what does not change", func() { s.Snapshot(); s.Saved(); s.scan(); s.refresh(); readAll(s) }, false},
		{"a line", func() { put(t, dir+"/a.log", "two\n"); s.refresh(); readAll(s) }, true},
		{"another line that no save came between", func() { put(t, dir+"/a.log", "three\n"); s.refresh(); readAll(s) }, false},
		{"a save that failed", func() { s.Snapshot(); s.SaveFailed() }, true},
		{"a file that went", func() { s.Snapshot(); s.Saved(); _ = os.Remove(dir + "/a.log"); s.scan() }, true},
	} {
		if c.do(); soiled() != c.want {
			t.Errorf("after %s: something to save: %v, want %v", c.after, !c.want, c.want)
		}
	}
}
