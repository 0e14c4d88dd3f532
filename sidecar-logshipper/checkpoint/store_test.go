package checkpoint

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func stateOf(offset int64) *State {
	return &State{Files: []File{{Path: "a.log", Generation: 1<<63 + 1, Key: find.Key{Inode: 3}, Positions: map[string]Position{"out": {Offset: offset}}}}}
}

func TestStore_LoadsWhatWasSaved(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Save(stateOf(42)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load()
	if err != nil || got.Files[0].Positions["out"].Offset != 42 || got.Files[0].Generation != 1<<63+1 {
		t.Errorf("loaded %+v, %v", got, err)
	}
}

func TestStore_ATornFileFallsBackToTheOneBefore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, offset := range []int64{1, 2} {
		if err := s.Save(stateOf(offset)); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, fileName)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Load(); len(got.Files) != 1 || got.Files[0].Positions["out"].Offset != 1 {
			t.Fatalf("cut at byte %d: loaded %+v", cut, got)
		}
	}
}

func TestStore_SurvivesAStopBetweenItsTwoRenames(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Save(stateOf(7)); err != nil {
		t.Fatal(err)
	}
	if err := keepPrevious(filepath.Join(dir, fileName), filepath.Join(dir, previousName)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(); err != nil || got.Files[0].Positions["out"].Offset != 7 {
		t.Errorf("loaded %+v, %v", got, err)
	}
}

func TestStore_IsHeldByOneShipper(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	if _, err := Open(dir); err == nil {
		t.Fatal("a second store opened the same directory")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestStore_OfNoDirectoryKeepsNothing(t *testing.T) {
	s := open(t, "")
	if err := s.Save(stateOf(1)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(); err != nil || len(got.Files) != 0 {
		t.Errorf("loaded %+v, %v", got, err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"version":1,"files":[{"path":"a","positions":{"x":{"offset":3}}}]}`))
	f.Add([]byte(`{"version":1,"fi`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		if state, _ := s.Load(); state == nil {
			t.Error("no state to go on with")
		}
	})
}
