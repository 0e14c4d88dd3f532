package tail

import (
	"os"
	"testing"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
)

func TestHole_InTheMiddleIsSkippedAndAtTheEndIsWaitedFor(t *testing.T) {
	path := t.TempDir() + "/a.log"
	put(t, path, "before\n")
	s := follow(t, path[:len(path)-len("/a.log")], Bounds{}, &checkpoint.State{})
	stretch := func(size int64) {
		t.Helper()
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
	stretch(1 << 30)
	s.refresh()
	if got := readAll(s); got != "before\n" {
		t.Fatalf("read %q", got)
	}
	if n := s.Backlog(0); n == 0 {
		t.Error("a hole that may be filled yet counts as delivered")
	}
	put(t, path, "after\n\x00\x00\x00\x00\x00\x00\x00\x00end\n")
	s.refresh()
	if got := readAll(s); got != "after\nend\n" {
		t.Errorf("read %q", got)
	}
	if n := s.Backlog(0); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
	stretch(1<<30 + 1<<20)
	s.closing = true
	s.refresh()
	if got := readAll(s); got != "" || s.Backlog(0) != 0 {
		t.Errorf("at the end %q was read and %d bytes are left", got, s.Backlog(0))
	}
}

func TestHole_TextInUTF16IsNone(t *testing.T) {
	for text, want := range map[string]bool{"\x00A\x00B": false, "\x00\x0a\x00A": false, "\x00\x00\x00\x00A": true, "\x00\x00": false, "": false} {
		if startsHole([]byte(text)) != want {
			t.Errorf("%q starts a hole: %v", text, !want)
		}
	}
}
