package source

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Tails follow all log files that a pattern names. A file is what it is and not what it is called, so one that a rotation
// renames within the pattern is read on and not again. Those that are there at the start are read from their ends, later
// ones from their beginnings.
type Tails struct {
	pattern string
	log     *slog.Logger
	open    []*followed
	buf     []byte
	full    bool  // there are more files than are followed; said once
	why     error // a file could not be read since the last scan
	told    bool  // of such a reason
}

// followed is one file of Tails. Between rounds it has no buffer, only what it read of an unfinished line.
type followed struct {
	Tail
	info os.FileInfo
	seen bool // by the scan under way
}

const (
	tailFiles = 256
	tailScan  = 10 // rounds between looks for new files
)

// IsPattern reports whether a path names files by a pattern (of path/filepath.Match).
func IsPattern(path string) bool { return strings.ContainsAny(path, `*?[`) }

// OpenTails opens the files that are there; fromStart reads also what they hold already.
func OpenTails(pattern string, fromStart bool, log *slog.Logger) *Tails {
	t := &Tails{pattern: pattern, log: log, buf: make([]byte, tailBlockBytes)}
	t.scan(!fromStart, nil)
	return t
}

// Run implements Follower.
func (t *Tails) Run(ctx context.Context, to Lines) {
	tick := time.NewTicker(tailPoll)
	defer tick.Stop()
	for n := 1; ; n++ {
		for _, f := range t.open {
			t.read(f, to)
		}
		if n%tailScan == 0 {
			t.scan(false, to)
			t.tell(to)
		}
		select {
		case <-ctx.Done():
			for _, f := range t.open {
				t.read(f, to)
			}
			return
		case <-tick.C:
		}
	}
}

// tell says which reason there was not to read a file.
func (t *Tails) tell(to Lines) {
	if t.why == nil && len(t.open) == 0 {
		t.why = &fs.PathError{Op: "open", Path: t.pattern, Err: fs.ErrNotExist}
	}
	if t.why != nil || t.told {
		to.Unreadable(t.why)
	}
	t.told, t.why = t.why != nil, nil
}

// Close implements Follower.
func (t *Tails) Close() {
	for _, f := range t.open {
		f.close()
	}
	t.open = nil
}

// read hands on what a file has got since the last round.
func (t *Tails) read(f *followed, to LineDecoder) {
	f.buf, f.kept = t.buf, copy(t.buf, f.rest)
	if info, err := f.file.Stat(); err == nil && info.Size() < f.offset {
		f.offset, f.kept = 0, 0 // truncated
	}
	f.Tail.read(to)
	t.why, f.why = cmp.Or(f.why, t.why), nil
	f.rest = append(f.rest[:0], t.buf[:f.kept]...)
}

// scan looks for new files, and leaves those that no name of the pattern leads to any longer.
func (t *Tails) scan(atEnd bool, to LineDecoder) {
	names, _ := filepath.Glob(t.pattern) // its only error, a bad pattern, is the configuration's
	for _, f := range t.open {
		f.seen = false
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() || t.known(info) {
			continue
		}
		if len(t.open) == tailFiles {
			if !t.full {
				t.log.Warn("log files not followed", "pattern", t.pattern, "limit", tailFiles, "first", name)
			}
			t.full, t.why = true, fmt.Errorf("follow %s: more than %d files match", t.pattern, tailFiles)
			continue
		}
		f := &followed{Tail: Tail{path: name}, info: info, seen: true}
		f.Tail.open(atEnd)
		t.why, f.why = cmp.Or(f.why, t.why), nil
		if f.file != nil {
			if opened, err := f.file.Stat(); err == nil {
				f.info = opened
			}
			t.open = append(t.open, f)
		}
	}
	var kept []*followed
	for _, f := range t.open {
		if f.seen {
			kept = append(kept, f)
			continue
		}
		t.read(f, to)
		if rest := bytes.TrimSpace(f.rest); len(rest) > 0 {
			to.Decode(rest)
		}
		f.close()
		t.full = false
	}
	t.open = kept
}

func (t *Tails) known(info os.FileInfo) bool {
	for _, f := range t.open {
		if os.SameFile(f.info, info) {
			f.seen = true
			return true
		}
	}
	return false
}
