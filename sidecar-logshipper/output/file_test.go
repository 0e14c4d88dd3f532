package output

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

func fileOutput(t *testing.T, c FileConfig) *shipper {
	t.Helper()
	c.Format = "lines"
	return open(t, Config{File: &c})
}

func contents(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFile_CutsWhatWasWrittenAfterThePositionWasSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "app.log")
	out := fileOutput(t, FileConfig{Path: path})
	out.ship("one", "two")
	state := out.out.(*File).State()
	out.ship("three") // killed before its acknowledgement was saved
	again := fileOutput(t, FileConfig{Path: path})
	if err := again.out.(*File).Resume(state); err != nil {
		t.Fatal(err)
	}
	again.ship("three", "four")
	if got := contents(t, path); got != "one\ntwo\nthree\nfour\n" {
		t.Errorf("%q", got)
	}
}

func TestFile_CutsWhatWasWrittenBeforeAnythingWasAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	if err := os.WriteFile(path, []byte("of before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := fileOutput(t, FileConfig{Path: path})
	if err := out.out.(*File).Resume(""); err != nil {
		t.Fatal(err)
	}
	state := out.out.(*File).State()
	out.ship("one") // killed before its acknowledgement was saved
	again := fileOutput(t, FileConfig{Path: path})
	if err := again.out.(*File).Resume(state); err != nil {
		t.Fatal(err)
	}
	again.ship("one", "two")
	if got := contents(t, path); got != "of before\none\ntwo\n" {
		t.Errorf("%q", got)
	}
}

func TestFile_TakesBackARotationThatCameAfterThePositionWasSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	c := FileConfig{Path: path, Rotate: 10, Keep: 2}
	out := fileOutput(t, c)
	out.ship("12345678")
	state := out.out.(*File).State()
	out.ship("abcdefgh")
	if got := contents(t, path+".1"); got != "12345678\n" {
		t.Fatalf("not rotated: %q", got)
	}
	again := fileOutput(t, c)
	if err := again.out.(*File).Resume(state); err != nil {
		t.Fatal(err)
	}
	again.ship("abcdefgh")
	if got := contents(t, path+".1") + contents(t, path); got != "12345678\nabcdefgh\n" {
		t.Errorf("%q", got)
	}
}

func TestFile_KeepsAsManyRotatedFilesAsConfigured(t *testing.T) {
	dir := t.TempDir()
	out := fileOutput(t, FileConfig{Path: filepath.Join(dir, "a"), Rotate: 4, Keep: 2})
	for _, m := range []string{"1", "2", "3", "4", "5"} {
		out.ship(m + strings.Repeat("x", 3))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 3 {
		t.Errorf("%v %v", files, err)
	}
}

func TestFile_AFullDiskIsTriedAgain(t *testing.T) {
	out := fileOutput(t, FileConfig{Path: "/dev/full"})
	if retry, ok := errors.AsType[*Retryable](out.send(t.Context(), []string{"x"})); !ok || retry.Reason != "write" {
		t.Errorf("%v", retry)
	}
}

func TestFile_ThatSomebodyMovedAwayOrDeletedIsBegunAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	out := fileOutput(t, FileConfig{Path: path})
	out.ship("one")
	if err := os.Rename(path, path+"-20261129"); err != nil {
		t.Fatal(err)
	}
	out.ship("two")
	if got := contents(t, path+"-20261129") + contents(t, path); got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	out.ship("three")
	if got := contents(t, path); got != "three\n" {
		t.Errorf("%q", got)
	}
}

func TestFile_ADirectoryIsRefused(t *testing.T) {
	for _, path := range []string{t.TempDir(), "/nowhere/"} {
		var problems conf.Problems
		c := Config{File: &FileConfig{Path: path}}
		c.Validate(&problems, "outputs[0]")
		if len(problems.List) != 1 || !strings.Contains(problems.List[0].Message, "is a directory") {
			t.Errorf("%s: %v", path, problems.List)
		}
	}
}
