package tail

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// resume finds each generation of a saved state again: first by its key, under its path or another name in its directory, or
// among the open files of the Set before; then in a copy of it (compressed or not). What cannot be found is counted and said.
func (s *Set) resume(from *checkpoint.State, before *Set) {
	var open []checkpoint.File
	for _, e := range from.Files {
		s.epochs[e.Key] = max(s.epochs[e.Key], e.Epoch)
		if e.Finished.IsZero() {
			open = append(open, e)
		} else {
			s.tombstones[e.Key] = e
		}
	}
	found := make([]*Generation, len(open))
	for i, e := range open {
		if found[i] = s.resumeByKey(e); found[i] == nil {
			found[i] = s.resumeHeld(e, before)
		}
		if found[i] != nil {
			s.order = append(s.order, found[i])
		}
	}
	for i, e := range open {
		if found[i] != nil {
			continue
		}
		if found[i] = s.resumeFromCopy(e); found[i] != nil {
			s.order = append(s.order, found[i])
		}
	}
	for _, e := range open {
		if input, ok := s.inputOf(e.Path); ok {
			s.missed[e.Path] = input
		}
	}
	s.order = slices.DeleteFunc(found, func(g *Generation) bool { return g == nil })
}

// resumeByKey finds the file itself, wherever it is, or nil when it is gone or holds something else by now.
func (s *Set) resumeByKey(e checkpoint.File) *Generation {
	where, ok := s.findKey(e)
	if !ok {
		return nil
	}
	src, length, compressed, err := open(where.Path)
	if err != nil {
		return nil
	}
	if length < lastPosition(e).Offset || !hasHead(src, e.Head) || !fits(e, src) {
		_ = src.Close()
		s.epochs[e.Key] = e.Epoch + 1
		return nil
	}
	g := s.restore(e, src, where, length)
	g.frozen = e.Frozen || compressed
	if where.Path != e.Path && !g.frozen {
		g.moved = time.Now()
		s.count.rotation("rename")
	}
	return g
}

// resumeHeld goes on with a file that is deleted, or out of sight, which the Set before has open.
func (s *Set) resumeHeld(e checkpoint.File, before *Set) *Generation {
	if before == nil {
		return nil
	}
	i := slices.IndexFunc(before.order, func(g *Generation) bool { return g.key == e.Key && g.Source.Generation == e.Generation })
	if i < 0 {
		return nil
	}
	old := before.order[i]
	src, err := duplicate(old.src)
	if err != nil {
		return nil
	}
	if !hasHead(src, e.Head) || !fits(e, src) {
		_ = src.Close()
		return nil
	}
	g := s.restore(e, src, find.File{Key: e.Key, Links: old.links}, old.size)
	if g.moved = old.moved; g.moved.IsZero() && !g.frozen {
		g.moved = time.Now()
		s.count.rotation("delete")
	}
	return g
}

// resumeFromCopy finds the rest of a file that was truncated or compressed while nobody looked.
func (s *Set) resumeFromCopy(e checkpoint.File) *Generation {
	position := lastPosition(e)
	if input, ok := s.inputOf(e.Path); ok && s.inputs[input].Stream != "" && position.Offset >= e.Size {
		return nil // a segment that was removed because it is delivered
	}
	wanted := lost{path: e.Path, key: e.Key, head: e.Head, offset: position.Offset, has: func(src source) bool { return fits(e, src) }}
	if found, src := s.findRest(wanted); src != nil {
		g := s.restore(e, src, found.File, found.length)
		g.frozen = true
		s.count.rotation("copytruncate")
		return g
	}
	if left := e.Size - position.Offset; left > 0 {
		s.count.Drop("vanished", 0, left)
		s.log.Error("file went away before it was read to its end, and nothing holds the rest", "path", e.Path, "bytes", left)
	}
	return nil
}

// findKey looks for the file itself: where it was, then in its directory.
func (s *Set) findKey(e checkpoint.File) (f find.File, known bool) {
	for _, p := range []string{e.Path, e.Now} {
		if f, err := find.Stat(p); p != "" && err == nil && f.Key == e.Key {
			return f, true
		}
	}
	files, _ := find.List(filepath.Dir(e.Path))
	for _, f := range files {
		if f.Key == e.Key {
			return f, true
		}
	}
	return find.File{}, false
}

// fits says that the bytes before each output's position are the ones it acknowledged, and those after it the ones that it
// may have been sent.
func fits(e checkpoint.File, src source) bool {
	for _, p := range e.Positions {
		if !hasMarker(src, p) || !hasSent(src, p) {
			return false
		}
	}
	return true
}

// restore makes a generation from its entry. An output that is new to it reads it from the start.
func (s *Set) restore(e checkpoint.File, src source, f find.File, size int64) *Generation {
	input, _ := s.inputOf(e.Path)
	g := &Generation{
		path:   e.Path,
		Source: &record.Source{Path: s.nameOf(input, e.Path), Generation: e.Generation},
		Input:  input, key: f.Key, epoch: e.Epoch, now: f.Path, src: src, born: e.Born,
		head: e.Head, size: size, modified: time.Now(), links: f.Links, frozen: e.Frozen, named: e.Named,
	}
	for _, p := range e.Positions {
		g.named = g.named || p.Offset > 0
	}
	if g.named {
		g.saved = identitySaved
	}
	for _, name := range s.lanes {
		p := e.Positions[name]
		p.Sent = checkpoint.Mark{} // it will be what is read from now on
		c := cursor{read: p.Offset, acked: p, stuckAt: -1}
		if p.Marker.Len > 0 {
			c.tail = make([]byte, p.Marker.Len)
			n, _ := src.ReadAt(c.tail, p.Offset-int64(len(c.tail)))
			c.tail = c.tail[:n]
		}
		g.cursors = append(g.cursors, c)
	}
	return g
}

// inputOf is the input whose globs match a path.
func (s *Set) inputOf(path string) (int, bool) {
	for i := range s.inputs {
		if s.inputs[i].Matches(path) {
			return i, true
		}
	}
	return 0, false
}

// Snapshot is the state to save, or nil when nothing has changed since the last one.
func (s *Set) Snapshot() *checkpoint.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dirty {
		return nil
	}
	s.dirty = false
	state := &checkpoint.State{Looked: s.scanned.UTC(), Outputs: map[string]string{}}
	for name, v := range s.outputs {
		state.Outputs[name] = v
	}
	for _, t := range s.tombstones {
		state.Files = append(state.Files, t)
	}
	for _, g := range s.order {
		if g.named && g.saved == identityNew {
			g.saved = identityInState
		}
		state.Files = append(state.Files, s.entry(g))
	}
	return state
}

// SaveFailed makes the next Snapshot try again. Nobody waits for it: a full disk must not stop the delivery.
func (s *Set) SaveFailed() {
	s.Saved()
	s.mu.Lock()
	s.soil()
	s.blind = true
	s.mu.Unlock()
}

func (s *Set) entry(g *Generation) checkpoint.File {
	e := checkpoint.File{
		Path: g.path, Generation: g.Source.Generation, Epoch: g.epoch, Key: g.key, Born: g.born,
		Named: g.named, Head: g.head, Size: g.size, Frozen: g.frozen, Positions: map[string]checkpoint.Position{},
	}
	if g.now != g.path {
		e.Now = g.now
	}
	for i, name := range s.lanes {
		c := &g.cursors[i]
		p := c.acked
		if !g.frozen && !g.suspect && s.inputs[g.Input].Stream == "" { // the others are not rewritten
			p.Sent = sentMark(g.src, p.Offset, c.read, c.tail)
		}
		e.Positions[name] = p
	}
	return e
}

// Resumed is what a resumable output asked to be kept.
func (s *Set) Resumed(lane int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outputs[s.lanes[lane]]
}

// Close lets go of all files. Run must have ended, and no output may read any more.
func (s *Set) Close() {
	for _, g := range s.order {
		_ = g.src.Close()
	}
}
