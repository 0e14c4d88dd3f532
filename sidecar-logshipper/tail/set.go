package tail

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
)

const (
	tickEvery   = 100 * time.Millisecond // while files are busy
	rescanEvery = 5 * time.Second        // always
	quietTime   = 3 * time.Second        // until the bell is armed; longer than settleTime
	settleTime  = 2 * time.Second        // from the last write to a moved file to the belief that its last line is all of it
	lingerTime  = 30 * time.Second       // from the last write to a moved file until it is let go
	maxLooks    = 5                      // ticks that a copy of a truncated file is looked for
)

// The policies for a line longer than MaxLine.
const (
	OverlongTruncate = "truncate"
	OverlongSplit    = "split"
	OverlongDrop     = "drop"
)

// Input is one group of files that are treated alike.
type Input struct {
	find.Globs
	// Stream, when it is set, says that the files are the segments of one stream of that name, in the order of their names.
	Stream   string
	MaxLine  int // bytes
	Overlong string
	// Flush is the quiet time after which an unfinished multi-line group is complete; 0 without multi-line.
	Flush time.Duration
}

// Config is what a Set needs.
type Config struct {
	Inputs []Input
	Lanes  []string // output names
	// StartAtEnd skips what is in the files that are there at the very first start.
	StartAtEnd bool
	// Salt makes generations unique between Pods whose volumes have equal inode numbers.
	Salt string
	Log  *slog.Logger
	// Before is the Set whose place this one takes, nil for none: it has the deleted files open that nothing else leads to.
	// Its Run has ended; it may be closed when New has returned.
	Before *Set
	Bounds
}

// Set is all generations that are being followed. Its methods may be called from any goroutine.
type Set struct {
	inputs   []Input
	lanes    []string
	atEnd    bool
	bounds   Bounds
	salt     string
	log      *slog.Logger
	count    *Counters
	bell     *find.Bell
	changed  chan struct{} // receives when generations came, moved or went
	soiled   chan struct{} // receives when there is anything to save
	pipes    chan struct{} // receives when a named pipe was met
	kicked   chan struct{}
	sealed   chan struct{}   // closed after the last look
	ended    chan struct{}   // receives after an acknowledgement, once closing
	wakes    []chan struct{} // one for each lane, of size 1
	reports  map[string]time.Time
	problems []error                // of the scan under way
	missed   map[string]int         // paths of the saved state, with their inputs, until the first scan
	dirs     []string               // that are watched
	watched  map[string]*Generation // idle files, by the name of their events
	gone     map[find.Key]time.Time // since when the files of tombstones are missing
	swept    time.Time

	mu         sync.Mutex
	order      []*Generation // of one path, the older is first
	tombstones map[find.Key]checkpoint.File
	epochs     map[find.Key]int
	outputs    map[string]string // state of resumable outputs
	dirty      bool
	saved      chan struct{} // closed and replaced by Saved
	blind      bool          // the last save has failed
	closing    bool
	scanned    time.Time
	unread     error                  // what the last scan could not read
	activity   time.Time              // last growth of any file
	held       map[find.Key]find.File // may be copies of followed files
	listed     map[string][]string    // directories, during one scan
}

// New continues from a saved state and looks at the files once, so that reading can start.
func New(c Config, count *Counters, from *checkpoint.State) *Set {
	s := &Set{
		inputs: c.Inputs, lanes: c.Lanes, atEnd: c.StartAtEnd && from.Looked.IsZero(), salt: c.Salt, bounds: c.Bounds, log: c.Log, count: count,
		bell: find.NewBell(c.Log), kicked: make(chan struct{}, 1), sealed: make(chan struct{}), ended: make(chan struct{}, 1), changed: make(chan struct{}, 1), soiled: make(chan struct{}, 1), pipes: make(chan struct{}, 1), saved: make(chan struct{}), reports: map[string]time.Time{},
		tombstones: map[find.Key]checkpoint.File{}, epochs: map[find.Key]int{}, outputs: map[string]string{},
		held: map[find.Key]find.File{}, listed: map[string][]string{}, missed: map[string]int{}, watched: map[string]*Generation{}, gone: map[find.Key]time.Time{}, activity: time.Now(), scanned: from.Looked,
	}
	for range c.Lanes {
		s.wakes = append(s.wakes, make(chan struct{}, 1))
	}
	for name, state := range from.Outputs {
		s.outputs[name] = state
	}
	s.resume(from, c.Before)
	s.scan()
	s.atEnd = false
	return s
}

// Run looks at the files until ctx ends: at once when the bell rings, on a tick while they are busy, and every 5 s.
func (s *Set) Run(ctx context.Context) {
	defer s.bell.Close()
	rescan := time.NewTicker(rescanEvery)
	defer rescan.Stop()
	watch := watchman{set: s, quietSince: time.Now()}
	watch.busy()
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-s.bell.Rings():
			watch.rang(event.Name)
		case <-s.bell.Errors():
			watch.wake()
			s.scan()
		case <-s.kicked:
			closing := s.Closing()
			s.scan()
			watch.wake()
			if closing {
				s.seal()
				s.wake()
			}
		case <-watch.tick:
			watch.look()
		case <-rescan.C:
			s.scan()
		}
	}
}

// kick makes Run look at once.
func (s *Set) kick() {
	ring(s.kicked)
}

func (s *Set) wake() {
	for _, w := range s.wakes {
		ring(w)
	}
}

// ring makes a channel of size 1 receive.
func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Wake is a channel that receives when something may be Ready for the lane.
func (s *Set) Wake(lane int) <-chan struct{} { return s.wakes[lane] }

const (
	phaseLive    = iota // more may come at any time
	phaseQuiet          // quiet for the flush time: a multi-line group is complete
	phaseSettled        // nothing more will come: even a line without a newline is complete
)

func (s *Set) phase(g *Generation, now time.Time) int {
	switch {
	case g.frozen, s.closing, !g.moved.IsZero() && now.Sub(later(g.moved, g.modified)) >= settleTime:
		return phaseSettled
	case s.inputs[g.Input].Flush > 0 && now.Sub(g.modified) >= s.inputs[g.Input].Flush:
		return phaseQuiet
	}
	return phaseLive
}

// Ready appends to list the generations from which the lane can read. Of one path only the oldest that is not read to its
// end is among them, which keeps the order.
func (s *Set) Ready(lane int, list []*Generation) []*Generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for i, g := range s.order {
		c := &g.cursors[lane]
		if g.suspect || c.read >= g.size || now.Before(c.pauseUntil) {
			continue
		}
		if c.stuckAt == g.size && c.stuckPhase >= s.phase(g, now) {
			continue
		}
		if !s.olderUnread(lane, i) {
			list = append(list, g)
		}
	}
	return list
}

// olderUnread says that a generation before s.order[i] with the same path has bytes left for the lane.
func (s *Set) olderUnread(lane, i int) bool {
	for _, o := range s.order[:i] {
		if o.Source.Path == s.order[i].Source.Path && (o.suspect || o.cursors[lane].read < o.size) {
			return true
		}
	}
	return false
}

// Acknowledge moves the lane's positions over segments that its output has taken, together with the output's own state.
func (s *Set) Acknowledge(lane int, segments []Segment, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range segments {
		seg := &segments[i]
		if seg.Chunk.Next < seg.Generation.cursors[lane].acked.Offset {
			continue // dropped meanwhile
		}
		seg.Generation.cursors[lane].acked = checkpoint.Position{Offset: seg.Chunk.Next, Marker: seg.marker}
	}
	if state != "" {
		s.outputs[s.lanes[lane]] = state
	}
	s.soil()
	if s.closing {
		ring(s.ended)
	}
}

// Acknowledged receives after an acknowledgement once Finish was called.
func (s *Set) Acknowledged() <-chan struct{} { return s.ended }

// Changed receives when generations came, moved or went: worth saving at once, because a file that is renamed while nobody
// looks is found again only if it was known.
func (s *Set) Changed() <-chan struct{} { return s.changed }

// Soiled receives when something has changed that the next Snapshot is to hold, however little.
func (s *Set) Soiled() <-chan struct{} { return s.soiled }

// soil is called under the lock.
func (s *Set) soil() {
	if !s.dirty {
		s.dirty = true
		ring(s.soiled)
	}
}

// Pipes receives when a look at the files met a named pipe under a path of the configuration.
func (s *Set) Pipes() <-chan struct{} { return s.pipes }

// Closing says that Finish was called.
func (s *Set) Closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// Finish makes the last look: what is in the files now is all there is, with or without a newline at the end. It returns
// when the look was taken, or ctx ends. Run must be running.
func (s *Set) Finish(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.kick()
	select {
	case <-s.sealed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unread says what the last look could not read: directories that are missing, files without permission, sockets.
func (s *Set) Unread() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unread
}

// seal ends the look that Finish asked for: sizes stay what they are.
func (s *Set) seal() {
	select {
	case <-s.sealed:
	default:
		close(s.sealed)
	}
}

// generationID is of an inode that was born at a time, and truncated so many times since. Where the file system does not know
// the time of birth, the one at which it was met tells it from the file that had the inode before.
func (s *Set) generationID(key find.Key, born int64, epoch int) uint64 {
	h := xxhash.New()
	_, _ = h.WriteString(s.salt)
	for _, v := range []uint64{key.Dev, key.Inode, uint64(born), uint64(epoch)} {
		_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, v))
	}
	return h.Sum64()
}
