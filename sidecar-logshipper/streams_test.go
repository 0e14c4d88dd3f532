package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// spooled is how many bytes the spools below dir/state hold.
func spooled(dir string) (bytes int64) {
	segments, _ := filepath.Glob(filepath.Join(dir, "state", "spool", "*", "*.log"))
	for _, s := range segments {
		if st, err := os.Stat(s); err == nil {
			bytes += st.Size()
		}
	}
	return bytes
}

func TestNamedPipe_LosesNothingThatWasReadWhenKilledWhileTheDestinationIsAway(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := newSink(t)
	s.behave("500")
	start := func() *kittest.Process {
		admin := kittest.FreeAddress(t)
		p := kittest.Start(t, nil, "sidecar-logshipper", "--path", pipe, "--to", s.url(), "--state", filepath.Join(dir, "state"), "--admin-address", admin, "--drain-quiet", "50ms")
		p.WaitReady(admin)
		return p
	}
	var ids []string
	var written int64
	write := func(n int) {
		for range n {
			ids = append(ids, fmt.Sprintf("line-%06d", len(ids)))
			m, err := fmt.Fprintf(w, "%s %s\n", ids[len(ids)-1], strings.Repeat("x", 100))
			if err != nil {
				t.Fatal(err)
			}
			written += int64(m)
		}
	}
	for range 3 {
		p := start()
		write(5000)
		kittest.Eventually(t, 10*time.Second, func() bool { return spooled(dir) == written }, "all that was written to be in the spool")
		kill(p)
		write(10) // the pipe holds it
	}
	s.behave("")
	p := start()
	s.awaitAll(t, ids)
	s.mu.Lock()
	for i, id := range s.order {
		if id != ids[i] {
			t.Errorf("record %d is %s: the order is not that of the stream", i, id)
			break
		}
	}
	s.mu.Unlock()
	kittest.Eventually(t, 10*time.Second, func() bool { n, _ := filepath.Glob(filepath.Join(dir, "state/spool/*/*.log")); return len(n) <= 1 }, "the delivered segments to be removed")
	stop(t, p)
}

func TestNamedPipe_ThatAppearsLaterIsReadWithoutAReload(t *testing.T) {
	for _, state := range []string{"state", "none"} {
		t.Run(state, func(t *testing.T) {
			dir, a := logDir(t)
			pipe := filepath.Join(dir, "pipe")
			s := newSink(t)
			flags := []string{"--path", pipe}
			if state == "none" {
				flags = append(flags, "--state", "none")
			}
			p := shipper(t, dir, "*.log", s, flags...)
			a.write(10)
			s.awaitAll(t, a.whole)
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			w, err := os.OpenFile(pipe, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			fmt.Fprintln(w, "through-the-pipe")
			s.awaitAll(t, []string{"through-the-pipe"})
			a.write(10)
			s.awaitAll(t, a.whole)
			stop(t, p)
			s.noneTwice(t)
		})
	}
}

func TestGlob_TakesNothingOutOfAPipeItMatchesAndSaysHowToReadIt(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	named := filepath.Join(dir, "logs", "named.log")
	p := shipper(t, dir, "*", s, "--path", named)
	other := filepath.Join(dir, "logs", "other.log")
	var writers []*os.File
	for _, pipe := range []string{named, other} {
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := os.OpenFile(pipe, os.O_RDWR|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		fmt.Fprintln(w, "through", filepath.Base(pipe))
		writers = append(writers, w)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "logs", "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a.write(10)
	s.awaitAll(t, append(a.whole, "through"))
	for _, hint := range []string{"add --path " + other, "say --path unix:" + l.Addr().String()} {
		kittest.Eventually(t, 10*time.Second, func() bool { return strings.Contains(p.Stderr.String(), hint) }, hint)
	}
	stop(t, p)
	if strings.Contains(p.Stderr.String(), "add --path "+named) {
		t.Error("a pipe that is read was complained of")
	}
	_ = writers[1].SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := bufio.NewReader(writers[1]).ReadString('\n'); got != "through other.log\n" { // still there for whom it is meant
		t.Errorf("the pipe that a glob matched holds %q, %v", got, err)
	}
	s.noneTwice(t)
}
