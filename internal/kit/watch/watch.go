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
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	debounce = 100 * time.Millisecond
	poll     = 30 * time.Second // a net under file systems without notification
)

// Files calls changed, one call at a time, whenever the content of one of paths has changed, until ctx ends.
// A path that does not exist yet is watched for. Changes within 100 ms are one; without inotify it polls every 30 s.
func Files(ctx context.Context, paths []string, log *slog.Logger, changed func()) {
	w := &watcher{paths: paths, seed: maphash.MakeSeed()}
	last := w.hash()
	var events chan fsnotify.Event
	var errs chan error
	n, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("file notification not available, polling", "error", err, "every", poll)
	} else {
		defer n.Close()
		w.arm(n)
		events, errs = n.Events, n.Errors
		if h := w.hash(); h != last { // changed between the hash and the watch
			last = h
			changed()
		}
	}

	net := time.NewTicker(poll)
	defer net.Stop()
	settle := time.NewTimer(debounce)
	settle.Stop()
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil
			} else {
				settle.Reset(debounce)
			}
			continue
		case err, ok := <-errs:
			if !ok {
				errs = nil
			} else {
				log.Warn("file notification failed, the poll goes on", "error", err)
			}
			continue
		case <-settle.C:
			w.arm(n) // a directory may have appeared
		case <-net.C:
		}
		if h := w.hash(); h != last {
			last = h
			changed()
		}
	}
}

type watcher struct {
	paths []string
	seed  maphash.Seed
}

// arm watches the nearest existing directory of each path. Watching one twice is no harm. It repeats until it finds the
// same directories again, because one may appear between the look for it and the watch on its parent.
func (w *watcher) arm(n *fsnotify.Watcher) {
	var before []string
	for {
		armed := make([]string, 0, len(w.paths))
		for _, path := range w.paths {
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

func (w *watcher) hash() uint64 {
	var h maphash.Hash
	h.SetSeed(w.seed)
	for _, path := range w.paths {
		data, err := os.ReadFile(path)
		if err != nil {
			h.WriteString("absent")
		}
		h.Write(data)
		h.WriteByte(0)
	}
	return h.Sum64()
}
