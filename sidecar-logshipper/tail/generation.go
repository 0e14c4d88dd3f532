package tail

import (
	"os"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// Generation is one stream of bytes that is being read. path and Input never change, nor Source once it is named; the rest belongs to its Set.
type Generation struct {
	Source *record.Source
	path   string // under which it was found
	Input  int    // which input of the configuration it belongs to

	named    bool // Source has its final ID, see Set.name
	saved    identity
	key      find.Key
	epoch    int
	now      string // where it is; "" once it is deleted
	src      source
	born     int64 // Unix nanoseconds; the times of its records count from here
	head     checkpoint.Mark
	size     int64
	modified time.Time // last growth that was seen
	written  time.Time // the file's own time of its last write, as it was seen
	links    uint32
	linked   bool   // path ended in a symbolic link at the last scan
	watched  string // name of the events of an idle file; "" while it is looked at

	// moved: the name it was found under leads elsewhere by now (renamed or deleted), so an end is to be expected.
	moved time.Time
	// frozen: nothing will be added: a copy, a compressed file, or bytes that are lost.
	frozen bool
	// suspect: an output saw bytes that do not follow what it had read. Nobody reads on until Run has looked.
	suspect bool
	looks   int // times that Run has looked for a copy

	cursors []cursor
}

// cursor is one output's place in a generation.
type cursor struct {
	read  int64  // offset of the next byte to read
	tail  []byte // up to markerBytes before read
	acked checkpoint.Position
	// stuckAt is the size at which there was no complete record after read, in stuckPhase; -1 when that is not known.
	stuckAt    int64
	stuckPhase int
	pauseUntil time.Time // after a read error
}

func (g *Generation) file() (*os.File, bool) {
	f, ok := g.src.(*os.File)
	return f, ok
}

// finished says that all of it was acknowledged and no writer is expected any more.
func (g *Generation) finished(now time.Time, segment bool) bool {
	if segment && g.links == 0 {
		return g.acknowledged()
	}
	if g.suspect || !g.frozen && (g.moved.IsZero() || now.Sub(later(g.moved, g.modified)) < lingerTime) {
		return false
	}
	return g.acknowledged()
}

// acknowledged says that every output has acknowledged every byte that is known of.
func (g *Generation) acknowledged() bool {
	for i := range g.cursors {
		if c := &g.cursors[i]; c.read < g.size || c.acked.Offset < c.read {
			return false
		}
	}
	return true
}

// furthest is the cursor that has read the most.
func (g *Generation) furthest() *cursor {
	best := &g.cursors[0]
	for i := range g.cursors {
		if g.cursors[i].read > best.read {
			best = &g.cursors[i]
		}
	}
	return best
}

// unread is how many bytes the slowest output has not read.
func (g *Generation) unread() (n int64) {
	for i := range g.cursors {
		n = max(n, g.size-g.cursors[i].read)
	}
	return n
}

// unacknowledged is how many bytes the slowest output has not acknowledged.
func (g *Generation) unacknowledged() (n int64) {
	for i := range g.cursors {
		n = max(n, g.size-g.cursors[i].acked.Offset)
	}
	return n
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
