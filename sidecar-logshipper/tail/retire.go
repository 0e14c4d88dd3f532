package tail

import (
	"slices"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
)

// retire lets go of what is finished and leaves tombstones, which expire.
func (s *Set) retire(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = slices.DeleteFunc(s.order, func(g *Generation) bool {
		segment := s.inputs[g.Input].Stream != ""
		if !g.finished(now, segment) {
			return false
		}
		_ = g.src.Close()
		g.saved = identitySaved // nobody will save it any more
		if g.key != (find.Key{}) && !segment {
			t := s.entry(g)
			t.Finished = now
			s.tombstones[g.key] = t
		}
		s.soil()
		return true
	})
	for key, t := range s.tombstones {
		if now.Sub(t.Finished) > tombstoneLife {
			delete(s.tombstones, key)
		}
	}
}

const tombstoneLife = 7 * 24 * time.Hour

// revive reads on where a finished generation has grown after all. It says whether f is that generation.
func (s *Set) revive(f find.File, t checkpoint.File) bool {
	if t.Frozen || f.Size == t.Size && f.Key.Birth != 0 {
		return true
	}
	src, length, _, err := open(f.Path)
	if err != nil || !hasHead(src, t.Head) || length < t.Size || !hasMarker(src, lastPosition(t)) {
		if err == nil {
			_ = src.Close()
		}
		s.update(func() { delete(s.tombstones, f.Key); s.epochs[f.Key] = t.Epoch + 1 })
		return false
	}
	if length == t.Size {
		_ = src.Close()
		return true
	}
	g := s.restore(t, src, f, length)
	g.moved = time.Now()
	s.update(func() { delete(s.tombstones, f.Key); s.order = append(s.order, g) })
	return true
}

// lateWrites catches a writer that still has a moved file open long after its rotation.
func (s *Set) lateWrites() {
	for _, t := range s.tombstones {
		if t.Frozen || t.Now == "" {
			continue
		}
		if f, err := find.Stat(t.Now); err == nil && f.Key == t.Key && f.Size > t.Size {
			s.revive(f, t)
		}
	}
}
