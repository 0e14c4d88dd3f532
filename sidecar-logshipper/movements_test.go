package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// What the tests of rsyslog's imfile look at, as far as no other test here does.

func (s *sink) sameAs(t *testing.T, want []string) {
	t.Helper()
	s.awaitAll(t, want)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.order, want) {
		t.Errorf("%d lines arrived, want these %d in order", len(s.order), len(want))
	}
	for id, times := range s.got {
		if len(times) > 1 {
			t.Errorf("%s arrived %d times", id, len(times))
		}
	}
}

func TestFileThatIsShorterThanItsFingerprint_StaysTheSameWhileItGrowsAcrossRestarts(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	for range 6 { // 1 KiB is passed on the way
		p := shipper(t, dir, "*.log", s)
		a.write(2)
		s.awaitAll(t, a.whole)
		stop(t, p)
		a.write(1)
	}
	shipper(t, dir, "*.log", s)
	s.sameAs(t, a.whole)
}

func TestDirectories_ComeGoAndComeAgainUnderAWildcard(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t)
	shipper(t, dir, "*/deep*/{a,b}.log", s)
	var all []string
	for round := range 3 {
		for _, name := range []string{"one/deep1/a.log", "one/deep2/b.log", "two/deep/a.log"} {
			path := filepath.Join(dir, "logs", name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			id := fmt.Sprintf("%s/%d", name, round)
			if err := os.WriteFile(path, []byte(id+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			all = append(all, id)
		}
		s.awaitAll(t, all)
		for _, name := range []string{"one", "two"} {
			if err := os.RemoveAll(filepath.Join(dir, "logs", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.noneTwice(t)
}

func TestFileThatTwoInputsMatch_BelongsToTheFirst(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf("inputs:\n  - paths: [%q]\n  - paths: [%q, %q]\n    format: json\noutputs:\n  - http: {url: %q}\nstate: %s\n",
		a.path, dir+"/logs/*.log", dir+"/logs/**", s.URL, dir+"/state")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := kittest.FreeAddress(t)
	p := kittest.Start(t, nil, "sidecar-logshipper", "--config", config, "--admin-address", admin, "--drain-quiet", "50ms")
	p.WaitReady(admin)
	a.write(50)
	stop(t, p)
	s.sameAs(t, a.whole)
}

func TestOffsetsBeyond4GiB_AreReadAndResumedAndTruncated(t *testing.T) {
	dir, a := logDir(t)
	a.write(1)
	if err := os.Truncate(a.path, 5<<30); err != nil { // a hole, which takes no space
		t.Skip(err)
	}
	s := newSink(t)
	p := shipper(t, dir, "*.log", s)
	s.awaitAll(t, a.whole)
	a.write(20)
	s.awaitAll(t, a.whole)
	kill(p)
	a.write(20)
	shipper(t, dir, "*.log", s)
	s.awaitAll(t, a.whole)
	a.truncate()
	a.write(20)
	s.awaitAll(t, a.whole)
}

func TestMultilineGroupThatIsNotOver_IsWholeAfterAKill(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	write := func(text string) {
		t.Helper()
		if _, err := a.f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	start := func() *kittest.Process {
		return shipper(t, dir, "*.log", s, "--multiline", "indent")
	}
	p := start()
	write("first head\n  its line\nsecond head\n  its first line\n")
	s.awaitAll(t, []string{"first"})
	kill(p)
	write("  its second line\nthird head\n")
	p = start()
	s.awaitAll(t, []string{"first", "second", "third"})
	stop(t, p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.texts["second"]; got != "second head\n  its first line\n  its second line" {
		t.Errorf("the group arrived as %q", got)
	}
}

func TestSymlinks_ToFilesInDirectoriesThatComeAndGoAreFollowed(t *testing.T) {
	dir := t.TempDir()
	links, s := filepath.Join(dir, "logs"), newSink(t)
	if err := os.Mkdir(links, 0o755); err != nil {
		t.Fatal(err)
	}
	shipper(t, dir, "*.log", s)
	var all []string
	for i := range 3 { // as container runtimes do it: pod.log -> …/CONTAINER/logs/0.log
		target := filepath.Join(dir, "targets", fmt.Sprint(i), "0.log")
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		w := newApp(t, target)
		w.gen = 10 * (i + 1)
		w.write(5)
		for _, name := range []string{"x.log", "y.log"}[:1+i%2] { // two links to one file are one file
			link := filepath.Join(links, name)
			_ = os.Remove(link)
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, w.whole...)
		s.awaitAll(t, all)
		w.write(5)
		all = append(all, w.whole[5:]...)
		s.awaitAll(t, all)
	}
	s.noneTwice(t)
}

func TestMissingDirectory_IsSaidOnceAndNotEveryTimeItIsLookedFor(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	p := shipper(t, dir, "*.log", s, "--path", filepath.Join(dir, "nowhere", "*.log"))
	for range 12 { // each new file makes it look
		newApp(t, a.path+".log").write(1)
		a.rename(0)
		a.write(1)
		s.awaitAll(t, a.whole)
	}
	if n := strings.Count(p.Stderr.String(), "may still appear"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func TestFileTruncatedAndRegrownPastThePosition_IsReadFromItsStart(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	shipper(t, dir, "*.log", s)
	for range 3 { // as > FILE does, 50 times in a row in rsyslog's test
		a.write(20)
		s.awaitAll(t, a.whole)
		a.truncate()
		a.write(200)
		s.awaitAll(t, a.whole)
	}
	s.sameAs(t, a.whole)
}

func TestPartialLastLine_OfAFileThatIsRotatedOrDeletedIsSentAsItIs(t *testing.T) {
	for name, move := range map[string]func(a *app) error{
		"renamed": func(a *app) error { return os.Rename(a.path, a.path+".1") },
		"deleted": func(a *app) error { return os.Remove(a.path) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, a := logDir(t)
			s := newSink(t)
			shipper(t, dir, "*.log", s)
			a.write(1)
			s.awaitAll(t, a.whole)
			a.writePartial()
			if err := move(a); err != nil {
				t.Fatal(err)
			}
			s.awaitAll(t, []string{a.partial})
			s.mu.Lock()
			defer s.mu.Unlock()
			if got := s.texts[a.partial]; got != a.partial+" half" {
				t.Errorf("it arrived as %q", got)
			}
		})
	}
}
