package tail

import (
	"bytes"
	"io"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
)

// Bounds are what the user lets go of rather than keep for ever; zero values bound nothing.
type Bounds struct {
	// Held is how many bytes of deleted files may be held open until they are delivered; the oldest beyond it are dropped.
	Held int64
	// Age is how long ago a rotated file may have been last written.
	Age time.Duration
}

// enforce drops what is beyond the bounds: nothing without them.
func (s *Set) enforce(now time.Time) {
	if s.bounds.Age > 0 {
		for _, g := range s.snapshotOrder() {
			if f, ok := g.file(); ok && !g.moved.IsZero() && !g.frozen {
				if st, err := find.StatOpen(f); err == nil && now.Sub(st.Modified) > s.bounds.Age {
					s.drop(g, "max_age")
				}
			}
		}
	}
	if s.bounds.Held == 0 {
		return
	}
	held := int64(0)
	for _, f := range s.Files() {
		if f.Deleted {
			held += f.SizeBytes
		}
	}
	for _, g := range s.snapshotOrder() { // oldest first
		if held <= s.bounds.Held {
			return
		}
		if g.links == 0 && !g.frozen {
			held -= g.size
			s.drop(g, "max_held")
		}
	}
}

// drop ends a generation before it is delivered, and counts what the slowest output had not read yet.
func (s *Set) drop(g *Generation, reason string) {
	s.unwatch(g)
	s.mu.Lock()
	src, from, size := g.src, g.size, g.size
	for i := range g.cursors {
		c := &g.cursors[i]
		from = min(from, c.read)
		c.read, c.acked.Offset = size, size
	}
	g.src, g.frozen, g.suspect = nothing{}, true, false
	s.soil()
	s.mu.Unlock()
	if from < size {
		s.count.Drop(reason, countLines(src, from, size), size-from)
		s.log.Error("dropped a file that was not delivered yet, as the configuration says", "path", g.path, "reason", reason, "bytes", size-from)
	}
	_ = src.Close()
}

// countLines counts newlines between two offsets.
func countLines(src io.ReaderAt, from, to int64) (n int) {
	buf := make([]byte, 64<<10)
	for from < to {
		got, err := src.ReadAt(buf[:min(int64(len(buf)), to-from)], from)
		n += bytes.Count(buf[:got], []byte{'\n'})
		from += int64(got)
		if err != nil || got == 0 {
			break
		}
	}
	return n
}
