package tail

import (
	"os"
	"testing"
	"time"
)

func TestDirectory_OfAYoungTimeIsLookedAtAgain(t *testing.T) {
	dir, second := t.TempDir(), time.Unix(1_800_000_000, 0)
	w := watchman{set: &Set{dirs: []string{dir, dir + "/missing"}}}
	for _, step := range []struct {
		what    string
		time    time.Time // of the directory
		now     time.Duration
		changed bool
	}{
		{"a change", second.Add(5), 5 * time.Millisecond, true},
		{"what may be another one in the same tick of the clock", second.Add(5), 15 * time.Millisecond, true},
		{"what was the last one in that tick", second.Add(5), 105 * time.Millisecond, true},
		{"none", second.Add(5), 205 * time.Millisecond, false},
		{"a change on a file system that knows only seconds", second, 300 * time.Millisecond, true},
		{"perhaps another one in the same second", second, 1900 * time.Millisecond, true},
		{"the last one in that second", second, 2100 * time.Millisecond, true},
		{"none", second, 2200 * time.Millisecond, false},
		{"a time that somebody set ahead", second.Add(time.Hour), 2300 * time.Millisecond, true},
		{"none", second.Add(time.Hour), 2400 * time.Millisecond, false},
	} {
		if err := os.Chtimes(dir, step.time, step.time); err != nil {
			t.Fatal(err)
		}
		if got := w.directoriesChanged(second.Add(step.now)); got != step.changed {
			t.Errorf("%s: changed %v after %v", step.what, got, step.now)
		}
	}
}
