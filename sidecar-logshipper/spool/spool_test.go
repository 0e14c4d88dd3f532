package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestMain(m *testing.M) { kittest.Main(m, nil) }

func open(t *testing.T, dir string, limit int64) (*Spool, int64) {
	t.Helper()
	s, torn, err := Open(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, torn
}

func fill(t *testing.T, s *Spool, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if err := s.Append([]byte(l + "\n")); err != nil {
			t.Fatal(err)
		}
	}
}

// content is what a reader of all segments sees.
func content(t *testing.T, dir string) string {
	t.Helper()
	names, _ := filepath.Glob(Glob(dir))
	var b strings.Builder
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
	}
	return b.String()
}

func TestSpool_ATornTailIsCutAndTheFramesBeforeItStay(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, log, crc string){
		"data without its end": func(t *testing.T, log, _ string) { check(t, os.Truncate(log, 9)) },
		"data that differs":    func(t *testing.T, log, _ string) { check(t, os.WriteFile(log, []byte("first\nsecXnd\n"), 0o600)) },
		"data without a frame": func(t *testing.T, _, crc string) { check(t, os.Truncate(crc, frameBytes+3)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := open(t, dir, 1<<20)
			fill(t, s, "first", "second")
			s.Close()
			damage(t, s.path(1, "log"), s.path(1, "crc"))
			s, torn := open(t, dir, 1<<20)
			fill(t, s, "third")
			if got := content(t, dir); got != "first\nthird\n" || torn == 0 {
				t.Errorf("the spool holds %q, %d bytes torn; want the first and the third line and some torn", got, torn)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSpool_IsBoundedUntilAcknowledgedSegmentsGo(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, 4000)
	line := strings.Repeat("x", 99)
	n := 0
	for ; ; n++ {
		if err := s.Append([]byte(line + "\n")); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
	}
	if n != 40 || s.Used() != 4000 {
		t.Fatalf("%d lines and %d bytes fit into 4000 bytes, want 40 and 4000", n, s.Used())
	}
	freed := s.Freed()
	s.Release(func(path string, size int64) bool { return path == s.path(1, "log") })
	select {
	case <-freed:
	default:
		t.Error("nobody was told of the free space")
	}
	fill(t, s, line)
	if _, err := os.Stat(s.path(1, "log")); err == nil {
		t.Error("the acknowledged segment is still there")
	}
	s.Release(func(string, int64) bool { return false })
	if got := s.Used(); got != 4000-1000+100 {
		t.Errorf("%d bytes are used, want 3100", got)
	}
}

func TestSpool_TheOpenSegmentIsNeverRemoved(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, 1<<20)
	fill(t, s, "a")
	s.Release(func(string, int64) bool { return true })
	fill(t, s, "b")
	if got := content(t, dir); got != "a\nb\n" {
		t.Errorf("the spool holds %q", got)
	}
}

func TestSpool_AFailedAppendLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, 1<<20)
	fill(t, s, "a")
	good := s.log
	s.log, _ = os.Open(s.path(1, "log")) // not writable
	if err := s.Append([]byte("lost\n")); err == nil {
		t.Fatal("an append without a disk has succeeded")
	}
	_ = s.log.Close()
	s.log = good
	fill(t, s, "b")
	s.Close()
	if _, torn := open(t, dir, 1<<20); torn != 0 {
		t.Errorf("%d bytes are torn", torn)
	}
	if got := content(t, dir); got != "a\nb\n" {
		t.Errorf("the spool holds %q", got)
	}
}

func FuzzIntact_NeverVouchesForMoreThanThereIs(f *testing.F) {
	dir := f.TempDir()
	s, _, err := Open(dir, 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if err := s.Append(fmt.Appendf(nil, "line %d\n", i)); err != nil {
			f.Fatal(err)
		}
	}
	s.Close()
	crc, _ := os.ReadFile(s.path(1, "crc"))
	log, _ := os.ReadFile(s.path(1, "log"))
	f.Add(log, crc)
	f.Fuzz(func(t *testing.T, data, frames []byte) {
		if good := intact(bytes.NewReader(data), frames); good < 0 || good > int64(len(data)) {
			t.Errorf("%d of %d bytes are good", good, len(data))
		}
	})
}
