package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// tinyDisk mounts a file system of a few pages on dir; only root can.
func tinyDisk(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// fillUp leaves no byte on the disk of dir and returns how to undo that.
func fillUp(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(page)
	}
	return func() { _ = os.Remove(name) }
}

// refuseSaves lets no checkpoint be written, as a volume does that is full and copies on write, and returns how to undo that.
func refuseSaves(t *testing.T, state string) (allow func()) {
	t.Helper()
	name := filepath.Join(state, "checkpoint.json.tmp")
	kittest.Eventually(t, 5*time.Second, func() bool { // the program may be about to make it again
		_ = os.Remove(name)
		return os.Mkdir(name, 0o700) == nil
	}, "a directory in the place of the next checkpoint")
	return func() {
		turned, _ := filepath.Glob(filepath.Join(state, "checkpoint*")) // a save that was under way has renamed it
		for _, name := range turned {
			if st, err := os.Stat(name); err == nil && st.IsDir() {
				_ = os.Remove(name)
			}
		}
	}
}

func TestFullStateVolume_PositionsAndIDsAreSavedWhereTheOnesBeforeStood(t *testing.T) {
	dir, a := logDir(t)
	state := filepath.Join(dir, "state")
	tinyDisk(t, state)
	s := newSink(t)
	p := shipper(t, dir, "*.log", s)
	a.write(10)
	s.awaitAll(t, a.whole)
	kittest.Eventually(t, 10*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(state, "checkpoint.json.tmp"))
		return err == nil
	}, "room to be kept")
	defer fillUp(t, state)()
	a.write(2000)
	a.rename(5)
	a.write(2000)
	s.awaitAll(t, a.whole)
	full := time.Now()
	kittest.Eventually(t, 10*time.Second, func() bool {
		if saved(t, dir).Saved.After(full) {
			return true
		}
		a.write(1) // something to save
		return false
	}, "a checkpoint")
	s.awaitAll(t, a.whole)
	stop(t, p)
	if strings.Contains(p.Stderr.String(), "cannot save positions") {
		t.Error("positions could not be saved")
	}
	shipper(t, dir, "*.log", s)
	a.write(1)
	s.awaitAll(t, a.whole)
	s.noneTwice(t)
}

func TestStateThatCannotBeWritten_StopsNoDeliveryAndIsSavedWhenItCan(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	p := shipper(t, dir, "*.log", s)
	allow := refuseSaves(t, filepath.Join(dir, "state"))
	a.write(2000)
	s.awaitAll(t, a.whole)
	kittest.Eventually(t, 10*time.Second, func() bool { return strings.Contains(p.Stderr.String(), "cannot save positions") }, "the failure to be said")
	allow()
	stop(t, p)
	shipper(t, dir, "*.log", s)
	a.write(1)
	s.awaitAll(t, a.whole)
	s.noneTwice(t)
}

func TestStreamOnAFullVolume_WaitsForRoomAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	state, pipe := filepath.Join(dir, "state"), filepath.Join(dir, "pipe")
	tinyDisk(t, state)
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := newSink(t)
	admin := kittest.FreeAddress(t)
	p := kittest.Start(t, nil, "sidecar-logshipper", "--path", pipe, "--to", s.url(), "--state", state, "--admin-address", admin)
	p.WaitReady(admin)
	free := fillUp(t, state)
	var ids []string
	for i := range 200 {
		ids = append(ids, fmt.Sprintf("id-%d", i))
		if _, err := fmt.Fprintln(w, ids[i], strings.Repeat("x", 50)); err != nil {
			t.Fatal(err)
		}
	}
	kittest.Eventually(t, 10*time.Second, func() bool { return strings.Contains(p.Stderr.String(), "stream waits for room") }, "the full disk to be said")
	free()
	s.awaitAll(t, ids)
	s.noneTwice(t)
}

func TestPermissionThatComesLater_IsRetriedWithTheHintAndEveryLineArrives(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("another uid can be taken by root alone")
	}
	// All directories above must be open to the other uid, which those of t.TempDir are not.
	dir, err := os.MkdirTemp("", "logshipper-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "sidecar-logshipper")
	copyProgram(t, program)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "app.log")
	if err := os.WriteFile(log, []byte("first line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSink(t)
	admin := kittest.FreeAddress(t)
	p := kittest.Start(t, nil, "setpriv", "--reuid", "65532", "--regid", "65532", "--clear-groups",
		program, "--path", log, "--to", s.url(), "--state", "none", "--admin-address", admin)
	p.WaitReady(admin) // a normal state
	kittest.Eventually(t, 10*time.Second, func() bool {
		return strings.Contains(p.Stderr.String(), "permission denied (set securityContext.fsGroup, or run as the app's uid)")
	}, "the hint")
	if err := os.Chmod(log, 0o644); err != nil {
		t.Fatal(err)
	}
	s.awaitAll(t, []string{"first"})
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTwoRotationsWhileBusy_KeepTheirOrder(t *testing.T) {
	dir, a := logDir(t)
	s := newSink(t)
	s.behave("500")
	p := shipper(t, dir, "app.log", s)
	a.write(20000)
	awaitRetry(t, p)
	a.rename(0)
	a.write(20000)
	kittest.Eventually(t, 10*time.Second, func() bool { return strings.Count(p.Stderr.String(), "following file") == 2 }, "the second file to be followed")
	a.rename(0)
	a.write(100)
	s.behave("")
	s.awaitAll(t, a.whole)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, id := range s.order {
		if id != a.whole[i] {
			t.Fatalf("record %d is %s, want %s", i, id, a.whole[i])
		}
	}
}

func TestDirectoryThatAppearsLater_IsFollowedFromTheStartOfItsFiles(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t)
	admin := kittest.FreeAddress(t)
	p := kittest.Start(t, nil, "sidecar-logshipper", "--path", filepath.Join(dir, "later", "deep", "*.log"), "--to", s.url(), "--state", "none", "--admin-address", admin)
	p.WaitReady(admin)
	if err := os.MkdirAll(filepath.Join(dir, "later", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	a := newApp(t, filepath.Join(dir, "later", "deep", "app.log"))
	a.write(10)
	s.awaitAll(t, a.whole)
}
