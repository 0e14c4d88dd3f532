package spool

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// reading starts one stream and returns how to end it.
func reading(t *testing.T, c Config, name string) *Streams {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	if c.State == "" {
		c.State = t.TempDir()
	}
	if c.Limit == 0 {
		c.Limit = 64 << 20
	}
	s := New(c)
	if err := s.Start([]string{name}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Finish(t.Context()) })
	return s
}

func fifo(t *testing.T) (path string, writer *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pipe")
	check(t, unix.Mkfifo(path, 0o600))
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	t.Cleanup(func() { _ = w.Close() })
	return path, w
}

func TestNamedPipe_KeepsEveryLineAndThePartialLastOneAtTheEnd(t *testing.T) {
	path, w := fifo(t)
	s := reading(t, Config{}, path)
	var want strings.Builder
	for i := range 2000 {
		want.WriteString(strings.Repeat("y", i%300) + "\n")
	}
	want.WriteString("no newline")
	_, err := w.WriteString(want.String())
	check(t, err)
	s.Finish(t.Context())
	if got := content(t, Dir(s.State, path)); got != want.String()+"\n" {
		t.Errorf("the spool holds %d bytes, want %d", len(got), want.Len()+1)
	}
}

func TestNamedPipe_ItsWritersComeAndGo(t *testing.T) {
	path, first := fifo(t)
	s := reading(t, Config{}, path)
	_, _ = first.WriteString("one\n")
	// the kernel forgets what is in a pipe that nobody has open, so the reader must have come
	kittest.Eventually(t, 5*time.Second, func() bool { return content(t, Dir(s.State, path)) == "one\n" }, "the first line")
	check(t, first.Close())
	second, err := os.OpenFile(path, os.O_WRONLY, 0)
	check(t, err)
	_, _ = second.WriteString("two\n")
	check(t, second.Close())
	kittest.Eventually(t, 5*time.Second, func() bool { return content(t, Dir(s.State, path)) == "one\ntwo\n" }, "both lines")
}

func TestSocket_KeepsTheLinesOfEachConnectionWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	check(t, err)
	left.SetUnlinkOnClose(false)
	check(t, left.Close()) // as a killed process leaves it behind
	s := reading(t, Config{}, "unix:"+path)
	var clients sync.WaitGroup
	for _, letter := range []string{"a", "b", "c"} {
		clients.Go(func() {
			var c net.Conn
			kittest.Eventually(t, 5*time.Second, func() (ok bool) { c, _ = net.Dial("unix", path); return c != nil }, "the socket")
			for range 500 {
				for range 4 { // a line in pieces
					_, _ = c.Write([]byte(letter))
				}
				_, _ = c.Write([]byte("\n"))
			}
			_ = c.Close()
		})
	}
	clients.Wait()
	want := func() bool {
		got := content(t, Dir(s.State, "unix:"+path))
		return strings.Count(got, "aaaa\n") == 500 && strings.Count(got, "bbbb\n") == 500 && strings.Count(got, "cccc\n") == 500 && len(got) == 7500
	}
	kittest.Eventually(t, 10*time.Second, want, "1500 whole lines")
}

func TestStream_ALineLongerThanTheLimitIsSplit(t *testing.T) {
	path, w := fifo(t)
	s := reading(t, Config{}, path)
	go func() { _, _ = w.WriteString(strings.Repeat("z", maxLine+10) + "\n") }()
	dir := Dir(s.State, path)
	kittest.Eventually(t, 10*time.Second, func() bool { return len(content(t, dir)) == maxLine+12 }, "the line in two")
	if lines := strings.Split(content(t, dir), "\n"); len(lines[0]) != maxLine || len(lines[1]) != 10 {
		t.Errorf("the pieces have %d and %d bytes", len(lines[0]), len(lines[1]))
	}
}

func TestOnFull_WaitHoldsTheWriterAndDropCounts(t *testing.T) {
	line := strings.Repeat("x", 999) + "\n"
	t.Run("drop", func(t *testing.T) {
		path, w := fifo(t)
		var mu sync.Mutex
		dropped := 0
		s := reading(t, Config{Limit: 4000, OnFull: OnFullDrop, Dropped: func(reason string, records int, bytes int64) {
			mu.Lock()
			defer mu.Unlock()
			if dropped += records; reason != "spool_full" || bytes != int64(records*1000) {
				t.Errorf("%d records with %d bytes dropped for %s", records, bytes, reason)
			}
		}}, path)
		for range 200 { // more than a pipe holds: the writer is not held up
			_, err := w.WriteString(line)
			check(t, err)
		}
		s.Finish(t.Context())
		if kept := strings.Count(content(t, Dir(s.State, path)), "\n"); kept+dropped != 200 || dropped == 0 {
			t.Errorf("%d lines kept and %d dropped, want 200 together", kept, dropped)
		}
	})
	t.Run("wait", func(t *testing.T) {
		path, w := fifo(t)
		s := reading(t, Config{Limit: 4000, OnFull: OnFullWait}, path)
		written := make(chan struct{})
		go func() {
			defer close(written)
			for range 200 {
				_, _ = w.WriteString(line)
			}
		}()
		got := 0
		dir := Dir(s.State, path)
		kittest.Eventually(t, 10*time.Second, func() bool {
			s.Release(func(path string, size int64) bool {
				data, _ := os.ReadFile(path)
				got += strings.Count(string(data), "\n")
				return true
			})
			return got+strings.Count(content(t, dir), "\n") == 200
		}, "all lines to pass, as room becomes free")
		<-written
	})
}

func TestNamedPipe_MayComeLaterAndAnotherOneInItsPlaceIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	s := reading(t, Config{}, path)
	dir := Dir(s.State, path)
	want := ""
	for _, line := range []string{"one\n", "two\n"} {
		_ = os.Remove(path)
		check(t, unix.Mkfifo(path, 0o600))
		w, err := os.OpenFile(path, os.O_RDWR, 0)
		check(t, err)
		_, err = w.WriteString(line)
		check(t, err)
		want += line
		kittest.Eventually(t, 10*time.Second, func() bool { return content(t, dir) == want }, "the line of the pipe that is there now")
		check(t, w.Close())
	}
}

func TestNamedPipe_AFileInItsPlaceIsNotTakenForOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	check(t, os.WriteFile(path, []byte("not from a pipe\n"), 0o600))
	s := reading(t, Config{}, path)
	s.Finish(t.Context())
	if got := content(t, Dir(s.State, path)); got != "" {
		t.Errorf("the spool holds %q", got)
	}
}

func TestSocket_ItsDirectoryMayComeLaterAndBeEmptied(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(folder, "s")
	s := reading(t, Config{}, "unix:"+path)
	dir := Dir(s.State, "unix:"+path)
	check(t, os.Mkdir(folder, 0o755))
	say := func(line string) net.Conn {
		var c net.Conn
		kittest.Eventually(t, 10*time.Second, func() bool { c, _ = net.Dial("unix", path); return c != nil }, "the socket")
		_, err := c.Write([]byte(line))
		check(t, err)
		return c
	}
	first := say("one\n")
	defer first.Close()
	kittest.Eventually(t, 10*time.Second, func() bool { return content(t, dir) == "one\n" }, "the first line")
	check(t, os.Remove(path))
	_ = say("two\n").Close()
	kittest.Eventually(t, 10*time.Second, func() bool { return content(t, dir) == "one\ntwo\n" }, "a line to the new socket")
	_, err := first.Write([]byte("three\n")) // the old connection still stands
	check(t, err)
	kittest.Eventually(t, 10*time.Second, func() bool { return content(t, dir) == "one\ntwo\nthree\n" }, "a line of the old connection")
}

func TestIsStream_APipeThatIsAwayIsKnownByItsSpool(t *testing.T) {
	state := t.TempDir()
	path := filepath.Join(t.TempDir(), "pipe")
	if IsStream(path, state) {
		t.Error("nothing is there, and nothing was")
	}
	s, _ := open(t, Dir(state, path), 1<<20)
	fill(t, s, "left")
	if !IsStream(path, state) {
		t.Error("its spool holds lines that nobody would deliver")
	}
	check(t, os.WriteFile(path, nil, 0o600))
	if IsStream(path, state) {
		t.Error("a file is there by now")
	}
}

func TestSocket_TakesTheRemainsOfOneAndNoOtherFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	check(t, os.WriteFile(path, []byte("precious\n"), 0o600))
	if l, _, err := listen(path); err == nil {
		_ = l.Close()
		t.Error("listens where a file is")
	} else if !strings.Contains(err.Error(), "something that is no socket is there (remove it") {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious\n" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}
