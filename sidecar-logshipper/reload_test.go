package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestReload_KeepsTheFilesThatAreNowhereButInItsHands(t *testing.T) {
	for name, away := range map[string]func(*testing.T, *app){
		"deleted": func(_ *testing.T, a *app) { a.remove() },
		"moved out of sight": func(t *testing.T, a *app) {
			a.check(os.Rename(a.path, filepath.Join(t.TempDir(), "elsewhere")))
			a.reopen()
		},
		"copied, truncated, the copy compressed and deleted": func(t *testing.T, a *app) {
			a.copyTruncate()
			a.compress()
			time.Sleep(time.Second) // until the copy is found
			a.check(os.Remove(a.path + ".1.gz"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir, admin := newSink(t), t.TempDir(), kittest.FreeAddress(t)
			a := newApp(t, filepath.Join(dir, "app.log"))
			s.behave("500")
			p := kittest.Start(t, nil, "sidecar-logshipper", "--path", a.path, "--to", s.url(), "--state", filepath.Join(dir, "state"),
				"--admin-address", admin, "--drain-quiet", "50ms", "--memory", "2MiB")
			p.WaitReady(admin)
			a.write(20_000) // more than fits into memory
			time.Sleep(300 * time.Millisecond)
			away(t, a)
			a.write(10)
			time.Sleep(300 * time.Millisecond)
			for n := range 2 { // what was handed on is handed on again
				p.Signal(syscall.SIGHUP)
				kittest.Eventually(t, 15*time.Second, func() bool { return strings.Count(p.Stderr.String(), "configuration reloaded") > n }, "the reload")
			}
			a.write(10)
			s.behave("")
			kittest.Eventually(t, 20*time.Second, func() bool { return len(s.missing(a.whole)) == 0 }, "all lines")
			p.Signal(syscall.SIGTERM)
			if code := p.Wait(10 * time.Second); code != 0 {
				t.Errorf("exit %d", code)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if !slices.IsSorted(s.order) {
				t.Error("the order is lost")
			}
		})
	}
}

// TestReload_MissesNothingThatComesAndGoesWhileItWaitsForTheDestination is about the seconds in which the requests under way
// may still be answered.
func TestReload_MissesNothingThatComesAndGoesWhileItWaitsForTheDestination(t *testing.T) {
	for name, away := range map[string]func(*app){
		"renamed twice": func(a *app) {
			a.rename(0)
			a.write(10)
			a.rename(0)
		},
		"deleted": func(a *app) {
			a.rename(0)
			a.write(10)
			time.Sleep(500 * time.Millisecond) // until it is seen
			a.remove()
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, a := logDir(t)
			s := newSink(t)
			p := shipper(t, dir, "*.log", s)
			s.behave("500")
			a.write(10)
			awaitRetry(t, p)
			p.Signal(syscall.SIGHUP)
			time.Sleep(500 * time.Millisecond)
			away(a)
			a.write(10)
			kittest.Eventually(t, 15*time.Second, func() bool { return strings.Contains(p.Stderr.String(), "configuration reloaded") }, "the reload")
			s.behave("")
			s.awaitAll(t, a.whole)
		})
	}
}

func TestReload_EndsTheHelperWhereNeitherConfigurationStarts(t *testing.T) {
	dir, a := logDir(t)
	s, archive := newSink(t), filepath.Join(dir, "archive.jsonl")
	run := func() *kittest.Process { return shipper(t, dir, "*.log", s, "--to", "file://"+archive) }
	p := run()
	a.write(10)
	s.awaitAll(t, a.whole)
	s.behave("500")
	a.write(10)
	awaitRetry(t, p)
	kittest.Eventually(t, 10*time.Second, func() bool { return archived(t, archive) == 20 }, "the archive")
	p.Signal(syscall.SIGHUP)
	time.Sleep(500 * time.Millisecond) // it waits for the request under way
	a.check(os.Rename(archive, archive+".1"))
	a.check(os.Mkdir(archive, 0o755))
	if code := p.Wait(20 * time.Second); code != 1 || !strings.Contains(p.Stderr.String(), "neither the new configuration starts nor the one before") {
		t.Errorf("exit %d: %s", code, p.Stderr.String())
	}
	a.check(os.Remove(archive))
	s.behave("")
	run()
	a.write(10)
	s.awaitAll(t, a.whole)
	kittest.Eventually(t, 10*time.Second, func() bool { return archived(t, archive) == 30 }, "each line in the archive, none twice")
}

// archived is how many lines a file has.
func archived(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}
