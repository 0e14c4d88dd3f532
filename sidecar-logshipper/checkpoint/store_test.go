package checkpoint

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

func TestStore_SavesALineForEachFileWhateverItsName(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	names := []string{"a.log", `{"path":"b.log"}`, "c\n.log", `\{"path":`}
	var state State
	for _, name := range names {
		state.Files = append(state.Files, File{Path: name, Now: name, Positions: map[string]Position{name: {}}})
	}
	state.Outputs = map[string]string{"out": `{"path":1}`}
	if err := s.Save(&state); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(bytes.TrimRight(text, "\n"), []byte("\n")) + 1; lines != 1+len(names) {
		t.Errorf("%d lines, want %d:\n%s", lines, 1+len(names), bytes.TrimRight(text, "\n"))
	}
	got, err := s.Load()
	if err != nil || got.Outputs["out"] != `{"path":1}` {
		t.Fatalf("loaded %+v, %v", got, err)
	}
	for i, name := range names {
		if f := got.Files[i]; f.Path != name || f.Now != name || len(f.Positions) != 1 {
			t.Errorf("%q came back as %+v", name, f)
		}
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
	for cut := range len(bytes.TrimRight(whole, "\n")) {
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Load(); len(got.Files) != 1 || got.Files[0].Positions["out"].Offset != 1 {
			t.Fatalf("cut at byte %d: loaded %+v", cut, got)
		}
	}
}

func TestStore_SurvivesStopsBetweenAnyTwoOfItsRenames(t *testing.T) {
	whole := t.TempDir()
	start := open(t, whole)
	for _, offset := range []int64{7, 8} {
		if err := start.Save(stateOf(offset)); err != nil {
			t.Fatal(err)
		}
	}
	for first := range 5 {
		for second := range 5 {
			dir := filepath.Join(t.TempDir(), "state")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			s := open(t, dir)
			stopped := func(offset int64, after int) {
				t.Helper()
				name := filepath.Join(dir, fileName)
				next, err := json.Marshal(State{Version: Version, Saved: time.Now(), Files: stateOf(offset).Files})
				if err != nil {
					t.Fatal(err)
				}
				if err := writeOver(name+".tmp", next); err != nil {
					t.Fatal(err)
				}
				steps := turn(name, filepath.Join(dir, previousName))
				for _, step := range steps[:min(after, len(steps))] {
					_ = os.Rename(step[0], step[1]) // what is missing is passed over, as in Save
				}
				if got, err := s.Load(); err != nil || len(got.Files) != 1 || got.Files[0].Positions["out"].Offset < 8 {
					t.Errorf("stopped after %d renames and then after %d: loaded %+v, %v", first, second, got, err)
				}
			}
			stopped(9, first)
			stopped(10, second)
			if err := s.Save(stateOf(11)); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Load(); err != nil || got.Files[0].Positions["out"].Offset != 11 {
				t.Errorf("stopped after %d renames and then after %d, and saved: loaded %+v, %v", first, second, got, err)
			}
		}
	}
}

func TestStore_TakesUpTheSameRoomUntilTheStateHasOutgrownIt(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	sizes := func(files int) (list []int64) {
		t.Helper()
		state := &State{}
		for range files {
			state.Files = append(state.Files, stateOf(1).Files...)
		}
		for range 3 {
			if err := s.Save(state); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{fileName, previousName, fileName + ".tmp"} {
			st, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, st.Size())
		}
		return list
	}
	few := sizes(1)
	if again := sizes(5); !slices.Equal(again, few) {
		t.Errorf("a state that fits in %d bytes takes up %d", few, again)
	}
	many := sizes(2000)
	if half := sizes(1000); !slices.Equal(half, many) {
		t.Errorf("half of %d bytes takes up %d: room that was there is gone", many, half)
	}
	if again := sizes(1); !slices.Equal(again, few) {
		t.Errorf("a small state takes up %d bytes for ever, want %d", again, few)
	}
}

func TestStore_AnotherVersionIsRefusedRatherThanMisread(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName), []byte(`{"version":2,"files":[{"path":"a","positions":{"x":{"offset":3}}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, dir).Load()
	if err == nil || !strings.Contains(err.Error(), "version 2, this program reads 1") || len(got.Files) != 0 {
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
