package source

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// heard counts lines.
type heard struct {
	mu    sync.Mutex
	lines map[string]int
}

func (h *heard) Decode(p []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(p) > 0 {
		n := len(p)
		for i, c := range p {
			if c == '\n' {
				n = i
				break
			}
		}
		h.lines[string(p[:n])]++
		p = p[min(n+1, len(p)):]
	}
}

func (h *heard) Unreadable(error) {}

func (h *heard) wait(t *testing.T, want map[string]int) {
	t.Helper()
	have := func() string {
		h.mu.Lock()
		defer h.mu.Unlock()
		return fmt.Sprint(h.lines)
	}
	defer func() {
		if t.Failed() {
			t.Log("have lines", have())
		}
	}()
	kittest.Eventually(t, 10*time.Second, func() bool { return have() == fmt.Sprint(want) }, fmt.Sprint("lines ", want))
}

func tails(t *testing.T, pattern string, fromStart bool) *heard {
	t.Helper()
	h := &heard{lines: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	files, done := OpenTails(pattern, fromStart, slog.New(slog.DiscardHandler)), make(chan struct{})
	go func() { defer close(done); files.Run(ctx, h) }()
	t.Cleanup(func() { cancel(); <-done; files.Close() })
	return h
}

func TestTails_ReadEveryFileOfThePatternEachLineOnce(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.log"), filepath.Join(dir, "two.log")
	grow(t, one, "before\n")
	h := tails(t, filepath.Join(dir, "*.log*"), false)
	grow(t, one, "a\nunfinis")
	grow(t, two, "b\n")
	h.wait(t, map[string]int{"a": 1, "b": 1})
	grow(t, one, "hed\n")

	if err := os.Rename(one, one+".1"); err != nil { // which the pattern names too
		t.Fatal(err)
	}
	grow(t, one+".1", "late\n")
	grow(t, one, "c\n")
	h.wait(t, map[string]int{"a": 1, "b": 1, "unfinished": 1, "late": 1, "c": 1})

	if err := os.Truncate(two, 0); err != nil {
		t.Fatal(err)
	}
	kittest.Eventually(t, 10*time.Second, func() bool { grow(t, two, "d\n"); h.mu.Lock(); defer h.mu.Unlock(); return h.lines["d"] > 0 }, "the truncated file to be read")
}

func TestTails_LeaveAFileThatNoNameLeadsToWithItsLastLine(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.log")
	grow(t, file, "first\nno end")
	h := tails(t, filepath.Join(dir, "*.log"), true)
	h.wait(t, map[string]int{"first": 1})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	h.wait(t, map[string]int{"first": 1, "no end": 1})
}

func TestTails_AreBounded(t *testing.T) {
	dir := t.TempDir()
	for i := range tailFiles + 5 {
		grow(t, filepath.Join(dir, fmt.Sprintf("%d.log", i)), "x\n")
	}
	log, text := kittest.Logs(t)
	files := OpenTails(filepath.Join(dir, "*.log"), true, log)
	defer files.Close()
	files.scan(false, nil)
	if n := strings.Count(text.String(), "log files not followed"); len(files.open) != tailFiles || n != 1 {
		t.Errorf("%d files, said %d times", len(files.open), n)
	}
	got := &collected{}
	for range 2 {
		files.scan(false, got)
		files.tell(got)
	}
	if len(got.why) != 2 || !strings.Contains(got.why[1].Error(), "more than 256 files match") {
		t.Errorf("told %v", got.why)
	}
}
