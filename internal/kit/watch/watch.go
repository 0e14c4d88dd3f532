// Package watch tells when files change in content. It watches their directories: a ConfigMap or Secret volume changes by
// a rename of its ..data symlink, which no watch on the file itself would see a second time.
package watch

import (
	"context"
	"hash/maphash"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	debounce = 100 * time.Millisecond
	poll     = 30 * time.Second // a net under file systems without notification
)

// Watcher remembers the content of files. Make it before the files are read: what changes in between is seen then.
type Watcher struct {
	mu    sync.Mutex
	paths []string // guarded by mu
	seed  maphash.Seed
	last  uint64
}

// New looks at the files; one that does not exist yet is watched for.
func New(paths ...string) *Watcher {
	w := &Watcher{paths: paths, seed: maphash.MakeSeed()}
	w.last = w.hash()
	return w
}

// Follow watches these files from the next look on, which finds them changed when they are others than before. Safe for
// concurrent use.
func (w *Watcher) Follow(paths ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paths = paths
}

func (w *Watcher) files() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.paths
}

// Run calls changed, one call at a time, whenever the content of a file is another than at the last look, until ctx ends.
// Changes within 100 ms are one; without inotify it polls every 30 s.
func (w *Watcher) Run(ctx context.Context, log *slog.Logger, changed func()) {
	var events chan fsnotify.Event
	var errs chan error
	n, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("file notification not available, polling", "error", err, "every", poll.String())
	} else {
		defer n.Close()
		w.arm(n)
		events, errs = n.Events, n.Errors
	}
	w.look(n, changed)

	net := time.NewTicker(poll)
	defer net.Stop()
	// An event is a doorbell: the watches go until the files have been looked at, so that a directory into which somebody
	// writes ten thousand times a second, its logs perhaps, wakes us ten times.
	var settle <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil
			} else if settle == nil {
				w.disarm(n)
				settle = time.After(debounce)
			}
		case err, ok := <-errs:
			if !ok {
				errs = nil
			} else {
				log.Warn("file notification failed, the poll goes on", "error", err)
			}
		case <-settle:
			settle = nil
			w.arm(n)
			w.look(n, changed)
		case <-net.C:
			w.look(n, changed)
		}
	}
}

// look calls changed when a file is another than before. changed may have said Follow: then the new files are watched, and
// looked at again, since they may have changed meanwhile.
func (w *Watcher) look(n *fsnotify.Watcher, changed func()) {
	for range 2 {
		h := w.hash()
		if h == w.last {
			return
		}
		w.last = h
		if changed(); n != nil {
			w.arm(n)
		}
	}
}

// arm watches the nearest existing directory of each path. Watching one twice is no harm. It repeats until it finds the
// same directories again, because one may appear between the look for it and the watch on its parent.
func (w *Watcher) arm(n *fsnotify.Watcher) {
	var before []string
	for {
		paths := w.files()
		armed := make([]string, 0, len(paths))
		for _, path := range paths {
			dir := filepath.Dir(path)
			for n.Add(dir) != nil && dir != filepath.Dir(dir) {
				dir = filepath.Dir(dir)
			}
			armed = append(armed, dir)
		}
		if slices.Equal(armed, before) {
			return
		}
		before = armed
	}
}

func (w *Watcher) disarm(n *fsnotify.Watcher) {
	for _, dir := range n.WatchList() {
		_ = n.Remove(dir) // gone already, when the directory is
	}
}

func (w *Watcher) hash() uint64 {
	var h maphash.Hash
	h.SetSeed(w.seed)
	for _, path := range w.files() {
		data, err := os.ReadFile(path)
		if err != nil {
			h.WriteString("absent")
		}
		h.Write(data)
		h.WriteByte(0)
	}
	return h.Sum64()
}
