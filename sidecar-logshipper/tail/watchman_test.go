package tail

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
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

// idle sets the clock of what has been seen of files back.
func idle(s *Set, paths ...string) {
	for _, g := range s.order {
		if slices.Contains(paths, g.path) {
			g.modified = time.Now().Add(-time.Hour)
		}
	}
}

func watchedPaths(s *Set) (paths []string) {
	for name, g := range s.watched {
		if g.watched != name {
			panic("a file is watched by a name that it does not know")
		}
		paths = append(paths, g.path)
	}
	slices.Sort(paths)
	return paths
}

func TestIdleFiles_AreLeftToTheBellWhileAnotherIsBusy(t *testing.T) {
	dir := t.TempDir()
	busy, one, two := dir+"/busy.log", dir+"/one.log", dir+"/two.log"
	for _, path := range []string{busy, one, two} {
		put(t, path, "first\n")
	}
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	if s.bell.Polling() {
		t.Skip("no inotify here")
	}
	w := watchman{set: s, quietSince: time.Now()}
	w.wake()
	readAll(s)
	if idle(s, one, two); len(watchedPaths(s)) != 0 {
		t.Fatalf("%v are watched although all were busy", watchedPaths(s))
	}
	put(t, busy, "second\n")
	w.look()
	if got := watchedPaths(s); !slices.Equal(got, []string{one, two}) {
		t.Fatalf("%v are watched, want those that are idle", got)
	}
	readAll(s)

	put(t, two, "second\n")
	if s.refreshBusy() {
		t.Error("a file that is watched was looked at")
	}
	w.rang((<-s.bell.Rings()).Name)
	if got := watchedPaths(s); !slices.Equal(got, []string{one}) {
		t.Errorf("%v are watched after a line in two.log, want one.log", got)
	}
	if got := readAll(s); got != "second\n" {
		t.Errorf("%q was read when the bell rang", got)
	}
	put(t, two, "third\n")
	w.look()
	if got := readAll(s); got != "third\n" {
		t.Errorf("%q was read at the tick", got)
	}
}

func TestIdleFile_IsNotWatchedAnyMoreWhenItIsLetGo(t *testing.T) {
	for how, leave := range map[string]func(s *Set, path string){
		"deleted and delivered": func(s *Set, path string) {
			readAll(s)
			_ = os.Remove(path)
			s.scan()
			idle(s, path)
			s.watchIdle(time.Now())
			s.retire(time.Now().Add(lingerTime + time.Second))
		},
		"dropped": func(s *Set, _ string) { s.drop(s.order[0], "max_age") },
		"truncated": func(s *Set, path string) {
			readAll(s)
			_ = os.Truncate(path, 0)
			for range maxLooks + 1 {
				s.refresh()
			}
		},
		"watched no more, because inotify is gone": func(s *Set, _ string) {
			s.bell.Close()
			s.bell = &find.Bell{}
			s.watchIdle(time.Now())
		},
	} {
		dir := t.TempDir()
		path := dir + "/a.log"
		put(t, path, "one\n")
		s := follow(t, dir, Bounds{}, &checkpoint.State{})
		if s.bell.Polling() {
			t.Skip("no inotify here")
		}
		idle(s, path)
		s.watchIdle(time.Now())
		if len(s.watched) != 1 {
			t.Fatalf("%v are watched at first", watchedPaths(s))
		}
		leave(s, path)
		if len(s.watched) != 0 || slices.ContainsFunc(s.order, func(g *Generation) bool { return g.watched != "" }) {
			t.Errorf("%s: still watched", how)
		}
	}
}

func TestIdleFile_ThatIsSuspectIsLookedAtAllTheSame(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", "one\n")
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	readAll(s)
	idle(s, dir+"/a.log")
	s.watchIdle(time.Now())
	if err := os.Truncate(dir+"/a.log", 0); err != nil {
		t.Fatal(err)
	}
	put(t, dir+"/a.log", "another one\n")
	s.suspect(s.order[0], s.order[0].src)
	for range maxLooks + 1 {
		s.refreshBusy()
	}
	if got := readAll(s); got != "another one\n" {
		t.Errorf("%q was read of the truncated file", got)
	}
}
