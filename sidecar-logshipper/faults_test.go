package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// shipper starts the real program on dir/logs with its state in dir/state.
func shipper(t *testing.T, dir, glob string, s *sink, flags ...string) *kittest.Process {
	t.Helper()
	return shipperTo(t, dir, glob, s.url(), flags...)
}

func shipperTo(t *testing.T, dir, glob, to string, flags ...string) *kittest.Process {
	t.Helper()
	admin := kittest.FreeAddress(t)
	args := append([]string{
		"--path", filepath.Join(dir, "logs", glob), "--to", to, "--state", filepath.Join(dir, "state"),
		"--admin-address", admin, "--drain-quiet", "50ms",
	}, flags...)
	p := kittest.Start(t, nil, "sidecar-logshipper", args...)
	p.WaitReady(admin)
	return p
}

// logDir is a folder with an app that writes there. Its test waits more than it works, so it runs beside others.
func logDir(t *testing.T) (dir string, a *app) {
	t.Helper()
	t.Parallel()
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, newApp(t, filepath.Join(dir, "logs", "app.log"))
}

func (s *sink) awaitAll(t *testing.T, ids []string) {
	t.Helper()
	kittest.Eventually(t, 30*time.Second, func() bool { return len(s.missing(ids)) == 0 }, fmt.Sprintf("%d lines", len(ids)))
}

// noneTwice fails for lines that were taken more than once.
func (s *sink) noneTwice(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, times := range s.got {
		if len(times) > 1 {
			n++
		}
	}
	if n > 0 {
		t.Errorf("%d lines arrived twice", n)
	}
}

// stop ends a program in the orderly way.
func stop(t *testing.T, p *kittest.Process) {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(30 * time.Second); code != 0 {
		t.Fatalf("exit code %d after SIGTERM, want 0", code)
	}
}

// kill ends it in the other one.
func kill(p *kittest.Process) {
	p.Signal(syscall.SIGKILL)
	p.Wait(5 * time.Second)
}

// awaitRetry waits until an attempt at delivery has failed.
func awaitRetry(t *testing.T, p *kittest.Process) {
	t.Helper()
	kittest.Eventually(t, 10*time.Second, func() bool { return strings.Contains(p.Stderr.String(), "will try again") }, "a failed attempt")
}

func TestKillAndRotation_LoseNoLine(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	p := shipper(t, dir, "app.log", s)
	for round := range 6 {
		a.write(5000)
		a.rename(100)
		a.write(5000)
		if round%2 == 0 {
			kill(p)
			a.write(1000)
			a.rename(0)
			p = shipper(t, dir, "app.log", s)
		}
	}
	s.awaitAll(t, a.whole)
}

func TestSIGTERM_DeliversWhatWasJustWritten(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	p := shipper(t, dir, "*.log", s)
	a.write(20000)
	a.writePartial()
	stop(t, p)
	if missing := s.missing(append(a.whole, a.partial)); len(missing) > 0 {
		t.Errorf("%d lines were not delivered, the first is %s", len(missing), missing[0])
	}
}

func TestSIGTERM_AndStartAgainSendNothingTwice(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	for range 3 {
		p := shipper(t, dir, "*.log", s)
		a.write(3000)
		stop(t, p)
	}
	s.awaitAll(t, a.whole)
	s.noneTwice(t)
}

func TestSink500ThenOK_LosesAndRepeatsNothing(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	s.behave("500")
	p := shipper(t, dir, "*.log", s)
	a.write(10000)
	a.rename(0)
	a.write(10000)
	awaitRetry(t, p)
	s.behave("")
	s.awaitAll(t, a.whole)
	s.noneTwice(t)
}

func TestCopyTruncate_KeepsTheUnreadRestThatOnlyTheCopyHas(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	s.behave("500")
	shipper(t, dir, "app.log", s)
	for range 5 { // far more than two batches: most of it is unread when it is truncated
		a.write(20000)
	}
	a.copyTruncate()
	a.write(1000)
	s.behave("")
	s.awaitAll(t, a.whole)
	s.noneTwice(t)
}

func TestDeletedFile_IsReadToItsEndThroughTheOpenHandle(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	s.behave("500")
	p := shipper(t, dir, "app.log", s)
	a.write(60000)
	awaitRetry(t, p)
	a.remove()
	a.write(10)
	s.behave("")
	s.awaitAll(t, a.whole)
}

func TestPoison_EndsInTheDeadLettersAndTheRestGoesOn(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	a.write(500)
	a.poison()
	a.write(500)
	shipper(t, dir, "*.log", s)
	s.awaitAll(t, a.whole)
	letters, err := os.ReadFile(filepath.Join(dir, "state", "dead", "dead.jsonl"))
	if err != nil || strings.Count(string(letters), "\n") != 1 || !strings.Contains(string(letters), "POISON") {
		t.Errorf("dead letters %q, %v: want the one poisonous line", letters, err)
	}
}

func TestTooLarge_HalvesAndRemembers(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	s.behave("413")
	a.write(20000)
	shipper(t, dir, "*.log", s)
	s.awaitAll(t, a.whole)
	s.noneTwice(t)
}

func TestPartialLastLine_WaitsForItsNewline(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	shipper(t, dir, "*.log", s)
	a.writePartial()
	id := a.partial
	kittest.Eventually(t, 5*time.Second, func() bool { // another file is delivered meanwhile: the tick has passed
		other := newApp(t, filepath.Join(dir, "logs", "other.log"))
		other.write(1)
		s.awaitAll(t, other.whole)
		return true
	}, "another file")
	if s.has(id) {
		t.Fatal("half a line was sent")
	}
	a.endPartial()
	s.awaitAll(t, a.whole)
}

func TestNULHole_IsSkippedAfterATruncationUnderAnOpenWriter(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "logs", "app.log")
	f, err := os.Create(path) // no O_APPEND: writes go on at the old offset
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := newSink(t)
	shipper(t, dir, "*.log", s)
	fmt.Fprintf(f, "before %s\n", strings.Repeat("x", 100_000))
	s.awaitAll(t, []string{"before"})
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "after the hole")
	s.awaitAll(t, []string{"after"})
}
