package tail

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
)

// inspect decides about a suspect: is what was read still there, and if not, where is the rest of it?
// The rest of a file that was copied and truncated exists in the copy alone.
func (s *Set) inspect(g *Generation) {
	s.mu.Lock()
	c, head := *g.furthest(), g.head
	unread := g.unread()
	s.mu.Unlock()
	if size, ok := s.intact(g); ok {
		s.update(func() { g.suspect, g.looks, g.size = false, 0, size })
		return
	}
	wanted := lost{path: g.path, key: g.key, head: head, offset: c.read, has: func(src source) bool { return hasBytes(src, c.read, c.tail) }}
	found, src := s.findRest(wanted)
	if src == nil && g.looks < maxLooks {
		g.looks++
		return
	}
	s.split(g, found, src, unread)
}

// intact says that what is known of a followed file is still in it, and how long it is now.
func (s *Set) intact(g *Generation) (size int64, ok bool) {
	f, ok := g.file()
	if !ok {
		return g.size, true
	}
	s.mu.Lock()
	c := *g.furthest()
	want, head := append([]byte(nil), c.tail...), g.head
	s.mu.Unlock()
	st, err := find.StatOpen(f)
	if err != nil || st.Size < c.read {
		return 0, false
	}
	return st.Size, hasBytes(f, c.read, want) && hasHead(f, head)
}

// split lets a truncated generation end in its copy, or where it was read to, and begins the next one on the same inode,
// through the same handle: it may be deleted by now.
func (s *Set) split(g *Generation, found copyOf, src source, unread int64) {
	s.unwatch(g)
	file, _ := g.file()
	old, err := find.StatOpen(file)
	old.Path = g.now
	s.epochs[g.key]++
	s.update(func() {
		g.frozen, g.suspect = true, false
		if src != nil {
			g.src, g.key, g.now, g.size = src, found.Key, found.Path, found.length
			return
		}
		g.giveUp()
	})
	if err != nil {
		_ = file.Close()
	} else {
		next := s.begin(old, g.path, g.Input, file, old.Size)
		next.moved = g.moved
		s.update(func() { s.order = slices.Insert(s.order, slices.Index(s.order, g)+1, next) })
	}
	s.buryHeld(g.path)
	s.countTruncation(g, src != nil, unread)
}

// giveUp ends a generation where it was read to: the rest is nowhere.
func (g *Generation) giveUp() {
	g.src, g.key, g.now, g.size = nothing{}, find.Key{}, "", 0
	for i := range g.cursors {
		g.size = max(g.size, g.cursors[i].read)
	}
	for i := range g.cursors {
		if c := &g.cursors[i]; c.read < g.size { // it fell behind, and what it had not read is gone
			c.read, c.acked.Offset = g.size, g.size
		}
	}
}

// abandon ends a copy that was itself written anew before it was read: the lines after it must not wait for it.
func (s *Set) abandon(g *Generation) {
	s.mu.Lock()
	src, unread := g.src, g.unread()
	s.mu.Unlock()
	s.update(func() {
		g.suspect = false
		g.giveUp()
	})
	_ = src.Close()
	s.countTruncation(g, false, unread)
}

func (s *Set) countTruncation(g *Generation, copied bool, unread int64) {
	switch {
	case copied:
		s.count.rotation("copytruncate")
	case unread > 0:
		s.count.rotation("truncate")
		s.count.Drop("truncated_unread", 0, unread)
		s.log.Error("file was truncated before it was read, and no copy holds the rest", "path", g.path, "bytes", unread)
	default:
		s.count.rotation("truncate")
	}
}

// nothing is the source of bytes that are lost.
type nothing struct{}

func (nothing) ReadAt([]byte, int64) (int, error) { return 0, nil }
func (nothing) Close() error                      { return nil }

// lost describes the generation whose rest is looked for.
type lost struct {
	path   string
	key    find.Key // where it is not any more
	head   checkpoint.Mark
	offset int64
	has    func(source) bool // the bytes before offset are right
}

type copyOf struct {
	find.File
	length int64 // inflated
}

// findRest looks through the directory, the globs aside, for a file with the same head and the same bytes before the offset.
func (s *Set) findRest(l lost) (copyOf, source) {
	if l.head.Len == 0 {
		return copyOf{}, nil
	}
	files, _ := find.List(filepath.Dir(l.path))
	slices.SortFunc(files, func(a, b find.File) int { return b.Modified.Compare(a.Modified) })
	for _, f := range files {
		if f.Key == l.key || s.byKey(f.Key) != nil || l.offset == 0 && !rotationOf(f.Path, l.path) {
			continue
		}
		if t, ok := s.tombstones[f.Key]; ok && t.Path == l.path && t.Size >= f.Size {
			continue
		}
		src, length, _, err := open(f.Path)
		if err != nil {
			continue
		}
		if length >= l.offset && hasHead(src, l.head) && l.has(src) {
			return copyOf{f, length}, src
		}
		_ = src.Close()
	}
	return copyOf{}, nil
}

// isCopy says that a matched file is, or is becoming, a copy of a generation that is known: a copytruncate in its first
// half, or a rotated file that was copied. Names alone prove nothing and neither do equal heads: only a file that is named
// like a rotation of another one, is younger, and has the same bytes as far as it goes, is held back, and only as long as
// that stays true.
func (s *Set) isCopy(f find.File, o opened) bool {
	src, length, compressed := o.src, o.length, o.compressed
	for _, g := range s.order {
		if !related(f.Path, g.path, compressed) || f.Key.Birth < g.key.Birth {
			continue
		}
		same := sameTail(src, length, g)
		if _, ok := s.intact(g); !ok { // truncated just now: f may be the copy that inspect is about to look for
			s.suspect(g, g.src)
			same = true
		}
		if same {
			s.held[f.Key] = f
			return true
		}
	}
	delete(s.held, f.Key)
	for _, t := range s.tombstones {
		if related(f.Path, t.Path, compressed) && wasRead(src, length, t) {
			s.bury(f, t.Path)
			return true
		}
	}
	return false
}

// buryHeld makes tombstones of the copies of path that do not hold more than was read.
func (s *Set) buryHeld(path string) {
	for key, f := range s.held {
		if rotationOf(f.Path, path) {
			delete(s.held, key)
			if s.byKey(key) == nil {
				s.bury(f, path)
			}
		}
	}
}

// bury makes a tombstone of a copy whose bytes were read elsewhere.
func (s *Set) bury(f find.File, path string) {
	file, length, compressed, err := open(f.Path)
	if err != nil {
		return
	}
	defer file.Close()
	last := make([]byte, min(length, markerBytes))
	_, _ = file.ReadAt(last, length-int64(len(last)))
	end := checkpoint.Position{Offset: length, Marker: markOf(last)}
	t := checkpoint.File{Path: path, Now: f.Path, Generation: s.generationID(f.Key, bornAt(f), 0), Key: f.Key, Born: bornAt(f), Size: length, Frozen: compressed, Finished: time.Now(), Positions: map[string]checkpoint.Position{}}
	t.Head, _ = headOf(file, headBytes)
	for _, name := range s.lanes {
		t.Positions[name] = end
	}
	s.update(func() { s.tombstones[f.Key] = t })
}

// wasRead says that src holds exactly what a finished generation held.
func wasRead(src source, length int64, t checkpoint.File) bool {
	return t.Head.Len > 0 && length == t.Size && hasHead(src, t.Head) && hasMarker(src, lastPosition(t))
}

// sameTail says that the head and the last bytes of src stand at the same place in g. An empty file is that of any.
func sameTail(src source, length int64, g *Generation) bool {
	head, err := headOf(src, headBytes)
	if err != nil || !hasHead(g.src, head) {
		return false
	}
	last := make([]byte, min(length, markerBytes))
	n, _ := src.ReadAt(last, length-int64(len(last)))
	return n == len(last) && hasBytes(g.src, length, last)
}

// related says that path may hold a copy of base by its name. What is compressed may have had any name before.
func related(path, base string, compressed bool) bool {
	return rotationOf(path, base) || compressed && filepath.Dir(path) == filepath.Dir(base)
}

// rotationOf says that path is named like a rotation of base.
func rotationOf(path, base string) bool {
	rest, ok := strings.CutPrefix(path, base)
	return ok && rotatedSuffix.MatchString(rest)
}

// lastPosition is the position of a tombstone at its end.
func lastPosition(t checkpoint.File) checkpoint.Position {
	var last checkpoint.Position
	for _, p := range t.Positions {
		if p.Offset >= last.Offset {
			last = p
		}
	}
	return last
}
