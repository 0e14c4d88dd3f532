package watch

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestWatcher_SeesAFileWhoseDirectoryAppearsLaterAndIgnoresATouch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	file := filepath.Join(dir, "a")
	log, _ := kittest.Logs(t)
	w := New(file)
	changes, done := make(chan uint64, 100), make(chan struct{}) // what was seen: a write may be seen half done, too
	go func() { defer close(done); w.Run(t.Context(), log, func() { changes <- w.last }) }()
	t.Cleanup(func() { <-done })
	put := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	version := 0
	kittest.Eventually(t, 5*time.Second, func() bool {
		version++
		put(strconv.Itoa(version)) // the first may be what the watch begins with
		select {
		case <-changes:
			return true
		case <-time.After(3 * debounce):
			return false
		}
	}, "a change inside the new directory")
	put("last")
	for last, deadline := w.hash(), time.After(5*time.Second); ; {
		select {
		case seen := <-changes:
			if seen != last {
				continue
			}
		case <-deadline:
			t.Fatal("the last content was not seen")
		}
		break
	}
	now := time.Now().Add(time.Minute)
	if err := os.Chtimes(file, now, now); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changes:
		t.Error("a touch without a change of content was called a change")
	case <-time.After(4 * debounce):
	}
}

func TestWatcher_SeesWhatChangedBeforeItRan(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a")
	w := New(file)
	if err := os.WriteFile(file, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, _ := kittest.Logs(t)
	changes, done := make(chan struct{}, 1), make(chan struct{})
	go func() { defer close(done); w.Run(t.Context(), log, func() { changes <- struct{}{} }) }()
	t.Cleanup(func() { <-done })
	select {
	case <-changes:
	case <-time.After(5 * time.Second):
		t.Error("a change between the first look and the watch was missed")
	}
}

func TestWatcher_FollowsTheFilesThatItIsToldLater(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "a", "first"), filepath.Join(dir, "b", "second")
	for _, file := range []string{first, second} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(first, "1")
	log, _ := kittest.Logs(t)
	w := New(first)
	changes, done := make(chan struct{}, 10), make(chan struct{})
	go func() {
		defer close(done)
		w.Run(t.Context(), log, func() { w.Follow(first, second); changes <- struct{}{} })
	}()
	t.Cleanup(func() { <-done })
	wait := func(what string) {
		t.Helper()
		select {
		case <-changes:
		case <-time.After(10 * time.Second):
			t.Fatal("no change seen: " + what)
		}
	}
	write(first, "2")
	wait("the first file")
	kittest.Eventually(t, 10*time.Second, func() bool { // until its directory is watched too
		write(second, time.Now().String())
		select {
		case <-changes:
			return true
		case <-time.After(200 * time.Millisecond):
			return false
		}
	}, "a change of the second file")
}
