package find

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// Bell rings when anything changes in the directories it is armed on, or in a file, once, and is then disarmed.
//
// A doorbell, not a stream of facts: an inotify watch makes each write of the app's dearer and each event costs us a wake-up,
// so nothing is watched while it is busy. Who hears the bell looks at the files itself, on a tick, until they have been
// quiet, then arms it again and looks once more. What an event says is never believed.
//
// Not for concurrent use.
type Bell struct {
	w     *fsnotify.Watcher // nil: polling only
	armed map[string]bool
	full  bool // no more files can be watched
	log   *slog.Logger
}

// NewBell makes a bell; where inotify cannot be had (limits, no kernel support) it is one that never rings, said once.
func NewBell(log *slog.Logger) *Bell {
	b := &Bell{armed: map[string]bool{}, log: log}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("inotify is not available, files are polled", "error", err)
		return b
	}
	b.w = w
	return b
}

// Polling says that the bell cannot be trusted, so that the caller must keep looking on its own.
func (b *Bell) Polling() bool { return b.w == nil }

// Rings is the channel of events; receive, then call Disarm, or Unwatch for a file. Nil (blocks for ever) when Polling.
func (b *Bell) Rings() <-chan fsnotify.Event {
	if b.w == nil {
		return nil
	}
	return b.w.Events
}

// Errors is the channel of errors (an overflow, mostly): each one means the same as a ring.
func (b *Bell) Errors() <-chan error {
	if b.w == nil {
		return nil
	}
	return b.w.Errors
}

// Arm watches the directories. It falls back to polling for good when the kernel refuses or the file system does not tell.
func (b *Bell) Arm(dirs []string) {
	for _, d := range dirs {
		if b.w == nil || b.armed[d] {
			continue
		}
		var st unix.Statfs_t
		if unix.Statfs(d, &st) == nil && silent(&st) {
			b.giveUp("the file system does not report changes, files are polled", d, nil)
			return
		}
		switch err := b.w.Add(d); {
		case err == nil:
			b.armed[d] = true
		case isLimit(err):
			b.giveUp("inotify limit reached, files are polled (raise fs.inotify.max_user_watches)", d, err)
			return
		}
	}
}

// Watch arms an open file, wherever it is by now, until Unwatch, which comes before f is closed. It returns the name of its
// events, "" where it cannot be armed: then it has to be looked at.
func (b *Bell) Watch(f *os.File) string {
	if b.w == nil || b.full {
		return ""
	}
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) == nil && silent(&st) {
		b.giveUp("the file system does not report changes, files are polled", filepath.Dir(f.Name()), nil)
		return ""
	}
	name := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	err := b.w.Add(name)
	if isLimit(err) {
		b.full = true
		b.log.Warn("inotify limit reached, idle files are looked at while others are busy (raise fs.inotify.max_user_watches)", "error", err)
	}
	if err != nil {
		return ""
	}
	return name
}

// Unwatch undoes Watch. One more event of that name may still come.
func (b *Bell) Unwatch(name string) {
	if b.w != nil {
		_ = b.w.Remove(name) // a rename has removed it already
	}
}

func isLimit(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}

// Armed says that d is being watched.
func (b *Bell) Armed(d string) bool { return b.armed[d] }

// Disarm removes the watches of directories. What rang meanwhile may still come.
func (b *Bell) Disarm() {
	if b.w == nil {
		return
	}
	for d := range b.armed {
		_ = b.w.Remove(d) // the directory may be gone, and its watch with it
	}
	clear(b.armed)
}

// Close ends the watcher's goroutine.
func (b *Bell) Close() {
	if b.w != nil {
		_ = b.w.Close()
	}
}

func (b *Bell) giveUp(msg, dir string, err error) {
	b.log.Warn(msg, "directory", dir, "error", err)
	b.Close()
	b.w = nil
	clear(b.armed)
}

// silent file systems change on other machines, or in user space, without inotify noticing (statfs(2), f_type).
func silent(st *unix.Statfs_t) bool {
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC:
		return true
	}
	return false
}
