package tail

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
)

// retire lets go of what is finished and leaves tombstones.
func (s *Set) retire(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = slices.DeleteFunc(s.order, func(g *Generation) bool {
		segment := s.inputs[g.Input].Stream != ""
		if !g.finished(now, segment) {
			return false
		}
		s.unwatch(g)
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
}

const (
	sweepEvery    = time.Minute
	tombstoneLife = 10 * time.Minute // from when its file was seen nowhere any more: what packs a file removes it when it is done
)

// sweep removes the tombstones of files that are gone, so that an app which rotates every second leaves no more of them than
// one that does it every day. Where the file is still there it stays, however old: a glob that matches it would read it again.
func (s *Set) sweep(now time.Time, matched []match) {
	if len(s.tombstones) == 0 || now.Sub(s.swept) < sweepEvery {
		return
	}
	s.swept = now
	there := map[find.Key]string{}
	for _, f := range matched {
		there[f.Key] = f.Path
	}
	sure := map[string]bool{} // directories, listed to their end
	for _, t := range s.tombstones {
		dir := filepath.Dir(t.Path)
		if _, listed := sure[dir]; !listed {
			sure[dir] = locate(dir, there)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, t := range s.tombstones {
		since, missed := s.gone[key]
		path, found := there[key]
		switch {
		case found:
			t.Now = path
			s.tombstones[key] = t
			delete(s.gone, key)
		case !sure[filepath.Dir(t.Path)]:
		case !missed:
			s.gone[key] = now
		case now.Sub(since) >= tombstoneLife:
			delete(s.tombstones, key)
			delete(s.gone, key)
			s.soil()
		}
	}
}

// locate adds the files in dir, and says whether these are all: what cannot be looked at is not gone.
func locate(dir string, there map[find.Key]string) (all bool) {
	names, err := find.Names(dir)
	all = err == nil || errors.Is(err, fs.ErrNotExist)
	for _, name := range names {
		f, err := find.Stat(name)
		if err == nil {
			there[f.Key] = f.Path
		} else if _, other := errors.AsType[*find.NotAFile](err); !other && !errors.Is(err, fs.ErrNotExist) {
			all = false
		}
	}
	return all
}

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
