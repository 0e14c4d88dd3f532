package tail

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// match is a file under a path that an input matches.
type match struct {
	find.File
	input int
}

// scan matches the globs against what is there. The order matters: first the names that lead elsewhere, then the files that
// came and went between two looks, then the new ones; so the generations of one path are taken on in the order of their birth.
func (s *Set) scan() {
	started := time.Now()
	var found []match
	taken := map[string]bool{}
	s.problems = nil
	for i := range s.inputs {
		paths, problems := s.inputs[i].Match()
		for _, p := range problems {
			s.report(p)
		}
		for _, p := range paths {
			f, err := find.Stat(p)
			if special, ok := errors.AsType[*find.NotAFile](err); ok {
				s.meet(special)
			}
			if err == nil && !taken[p] {
				taken[p] = true
				found = append(found, match{f, i})
			}
		}
	}
	clear(s.listed)
	s.refresh() // a truncation must be known before its copy is met
	paths := s.missed
	s.missed = map[string]int{}
	for _, g := range s.snapshotOrder() {
		s.follow(g, started)
		paths[g.path] = g.Input
	}
	for path, input := range paths {
		s.adoptSiblings(path, input)
	}
	for _, m := range found {
		s.see(m.File, m.input)
	}
	s.lateWrites()
	s.enforce(started)
	s.retire(started)
	s.sweep(started, found)
	s.mapDirectories()
	s.mu.Lock()
	s.scanned, s.unread = started, errors.Join(s.problems...)
	s.mu.Unlock()
	s.wake()
}

// meet passes on what was found and is no file.
func (s *Set) meet(special *find.NotAFile) {
	if special.Pipe() {
		ring(s.pipes)
	}
	if !s.isStream(special) {
		s.report(special)
	}
}

// isStream says that it is read as a stream, or is about to be: a pipe whose path stands in the configuration as it is.
func (s *Set) isStream(special *find.NotAFile) bool {
	return slices.ContainsFunc(s.inputs, func(in Input) bool {
		return in.Stream == special.Path || in.Stream == "unix:"+special.Path || special.Pipe() && slices.Contains(in.Paths, special.Path)
	})
}

func (s *Set) snapshotOrder() []*Generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Generation(nil), s.order...)
}

// follow notices that the name of a generation leads elsewhere. It asks anew: much may have happened since the globs were
// matched, and a generation that is not known to have moved comes after the rotated ones of its path.
func (s *Set) follow(g *Generation, now time.Time) {
	if g.frozen {
		return
	}
	at, err := find.Stat(g.path)
	g.linked = at.Linked
	here := err == nil && at.Key == g.key
	switch {
	case here && !g.moved.IsZero():
		s.update(func() { g.moved, g.now = time.Time{}, at.Path })
	case !here && g.moved.IsZero():
		s.refreshOne(g)
		s.update(func() { g.moved, g.now = now, s.whereIs(g) })
		if s.inputs[g.Input].Stream == "" {
			s.count.rotation(map[bool]string{true: "delete", false: "rename"}[g.links == 0])
		}
	case !here:
		s.update(func() { g.now = s.whereIs(g) })
	}
}

// update changes structure under the lock; Run's goroutine is the only one to do so, and reads it without.
func (s *Set) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.soil()
	s.announce()
}

// whereIs looks for a moved file in its directory.
func (s *Set) whereIs(g *Generation) string {
	if g.now != "" {
		if f, err := find.Stat(g.now); err == nil && f.Key == g.key {
			return g.now
		}
	}
	files, _ := find.List(filepath.Dir(g.path))
	for _, f := range files {
		if f.Key == g.key {
			return f.Path
		}
	}
	return ""
}

// see takes on a matched file, unless it is known by whatever name.
func (s *Set) see(f find.File, input int) {
	if s.byKey(f.Key) != nil {
		return
	}
	if t, ok := s.tombstones[f.Key]; ok && s.revive(f, t) {
		return
	}
	s.adoptUnlessCopy(f, f.Path, input, false) // what is compressed is only read where it holds the rest of a followed file
}

// adoptUnlessCopy looks and takes on through one handle: a file that is deleted meanwhile has its lines nowhere else.
func (s *Set) adoptUnlessCopy(f find.File, path string, input int, inflate bool) {
	o, err := openAs(f, inflate)
	switch {
	case errors.Is(err, fs.ErrPermission):
		s.report(explainOpen(err))
	case err != nil: // gone, replaced, compressed or about to be: the next scan sees what is there then
	case s.isCopy(f, o):
		_ = o.src.Close()
	default:
		s.adopt(f, path, input, o)
	}
}

func (s *Set) byKey(key find.Key) *Generation {
	for _, g := range s.order {
		if g.key == key {
			return g
		}
	}
	return nil
}

// adopt starts a generation: from the beginning, whatever it holds.
func (s *Set) adopt(f find.File, path string, input int, o opened) {
	g := s.begin(f, path, input, o.src, o.length)
	g.frozen = o.compressed
	if f.Path != path {
		g.moved = time.Now()
	}
	s.update(func() { s.insert(g); s.activity = time.Now() })
	s.log.Info("following file", "path", f.Path, "size_bytes", o.length)
}

// begin makes a generation that nothing was read of.
func (s *Set) begin(f find.File, path string, input int, src source, length int64) *Generation {
	epoch := s.epochs[f.Key]
	g := &Generation{
		path:   path,
		Source: &record.Source{Path: s.nameOf(input, path), Generation: s.generationID(f.Key, bornAt(f), epoch)},
		Input:  input, key: f.Key, epoch: epoch, now: f.Path, src: src, born: bornAt(f), linked: f.Linked, size: length, links: f.Links, modified: time.Now(),
	}
	g.head, _ = headOf(src, headBytes)
	var start int64
	if s.atEnd && s.inputs[input].Stream == "" {
		start = lastLineStart(src, length)
	}
	for range s.lanes {
		g.cursors = append(g.cursors, cursor{read: start, stuckAt: -1, acked: checkpoint.Position{Offset: start}})
	}
	return g
}

// nameOf is what the records of a path are said to come from.
func (s *Set) nameOf(input int, path string) string {
	if stream := s.inputs[input].Stream; stream != "" {
		return stream
	}
	return path
}

// insert puts g last, but what was rotated away already before what is at its path now.
func (s *Set) insert(g *Generation) {
	at := len(s.order)
	if !g.moved.IsZero() {
		live := slices.IndexFunc(s.order, func(o *Generation) bool { return o.path == g.path && o.moved.IsZero() && !o.frozen })
		if live >= 0 {
			at = live
		}
	}
	s.order = slices.Insert(s.order, at, g)
}

// bornAt is the time from which the records of a file count: persistent, so that a resend after a crash repeats them.
func bornAt(f find.File) int64 {
	if f.Key.Birth != 0 {
		return f.Key.Birth
	}
	return f.Modified.UnixNano()
}

// rotatedSuffix is what rotation appends to a name: app.log.1, app.log-20261124, app.log.2026-11-24T10:00, all of them .gz or .zst too.
var rotatedSuffix = regexp.MustCompile(`^[._-]?[0-9][0-9T:._-]*(\.(gz|zst|bz2|xz))?$`)

// siblings are the files beside path that look like rotations of it.
func (s *Set) siblings(path string) []find.File {
	dir := filepath.Dir(path)
	if _, ok := s.listed[dir]; !ok {
		s.listed[dir], _ = find.Names(dir)
	}
	var list []find.File
	names := s.listed[dir] // sorted
	from, _ := slices.BinarySearch(names, path)
	for _, p := range names[from:] {
		if !strings.HasPrefix(p, path) {
			break
		}
		if !rotationOf(p, path) {
			continue
		}
		if f, err := find.Stat(p); err == nil {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b find.File) int { return a.Modified.Compare(b.Modified) })
	return list
}

// adoptSiblings takes on the generations of path that came and went between two looks: files that look like rotations of it,
// were born since the last look, and are not known. Oldest first.
func (s *Set) adoptSiblings(path string, input int) {
	for _, f := range s.siblings(path) {
		again := s.epochs[f.Key] > 0 // truncated while nobody looked, then renamed
		if s.scanned.IsZero() || !again && time.Unix(0, bornAt(f)).Before(s.scanned.Add(-time.Second)) {
			continue
		}
		_, dead := s.tombstones[f.Key]
		if s.byKey(f.Key) == nil && !dead {
			s.adoptUnlessCopy(f, path, input, true)
		}
	}
}

func lastLineStart(f source, size int64) int64 {
	buf := make([]byte, min(size, 1<<20))
	n, _ := f.ReadAt(buf, size-int64(len(buf)))
	for i := n - 1; i >= 0; i-- {
		if buf[i] == '\n' {
			return size - int64(len(buf)) + int64(i) + 1
		}
	}
	return size - int64(len(buf))
}

// report logs a condition that may pass, once a minute.
func (s *Set) report(err error) {
	s.problems = append(s.problems, err)
	text := err.Error()
	maps.DeleteFunc(s.reports, func(_ string, at time.Time) bool { return time.Since(at) > time.Minute })
	if _, said := s.reports[text]; !said {
		s.reports[text] = time.Now()
		s.log.Warn("input is not readable yet", "error", err)
	}
}

func explainOpen(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return errors.New(err.Error() + " (set securityContext.fsGroup, or run as the app's uid)")
	}
	return err
}
