package tail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// Segment is a run of records that an output has read and must acknowledge.
type Segment struct {
	Generation *Generation
	Chunk      record.Chunk
	// Last says that nothing is left for now.
	Last   bool
	marker checkpoint.Mark
}

// Verdict is how a Read ended.
type Verdict int

// The verdicts.
const (
	Took    Verdict = iota // a segment was read; it may hold no record when an overlong line was dropped
	Nothing                // no complete record for now
	Full                   // buf is full and holds no complete record: read again with a larger one
)

// Margin is how much larger than a record a buffer must be to read it.
const Margin = markerBytes + 1

// Read reads the next complete records of g for one output into buf and returns how much of buf they take up. The bytes
// before the cursor are read again and compared with what they were, so that a file that was truncated and written anew is
// noticed before any of it is taken for what followed. Each output calls it from one goroutine at a time.
func (s *Set) Read(lane int, g *Generation, buf []byte, framer record.Framer, ends []int) (Segment, int, Verdict) {
	s.mu.Lock()
	c := g.cursors[lane]
	src, phase, head := g.src, s.phase(g, time.Now()), g.head
	s.mu.Unlock()

	prefix := len(c.tail)
	n, err := src.ReadAt(buf, c.read-int64(prefix))
	if err != nil && !errors.Is(err, io.EOF) {
		s.pause(lane, g, err)
		return Segment{}, 0, Nothing
	}
	if n < prefix || !bytes.Equal(buf[:prefix], c.tail) || c.read == 0 && (n < head.Len || xxhash.Sum64(buf[:head.Len]) != sumOr(head)) {
		s.suspect(g, src)
		return Segment{}, 0, Nothing
	}
	data, atEnd := buf[prefix:n], n < len(buf)
	if startsHole(data) {
		return s.hole(lane, g, src, c.read, phase)
	}
	if end := beforeHole(data); end > 0 {
		data, atEnd, phase = data[:end], true, max(phase, phaseQuiet)
	}
	limit := len(buf)-Margin >= s.inputs[g.Input].MaxLine
	data, ends = complete(data, framer, ends, atEnd, phase, limit)
	if most := s.inputs[g.Input].MaxLine; len(data) > most {
		start, end := firstLonger(data, ends, most)
		if end > 0 && start == 0 {
			return s.overlong(lane, g, src, c.read, buf, phase, c.read+int64(end))
		}
		data, ends = before(data, ends, start)
	}
	switch {
	case len(data) > 0:
		seg, used, verdict := s.take(lane, g, c.read, buf[:prefix+len(data)], data, ends)
		seg.Last = used == n && n < len(buf)
		return seg, used, verdict
	case !atEnd && limit:
		return s.overlong(lane, g, src, c.read, buf, phase, 0)
	case !atEnd:
		return Segment{}, 0, Full
	}
	s.stuck(lane, g, c.read+int64(n-prefix), phase)
	return Segment{}, 0, Nothing
}

// complete cuts data after its last complete record. A group of lines that has reached the limit is complete as it is.
func complete(data []byte, framer record.Framer, ends []int, atEnd bool, phase int, limit bool) ([]byte, []int) {
	if !atEnd || phase < phaseSettled {
		data = data[:bytes.LastIndexByte(data, '\n')+1]
	}
	if framer == nil || len(data) == 0 {
		return data, nil
	}
	ends, n := framer.Frame(ends[:0], data, atEnd && phase >= phaseQuiet)
	if n == 0 && limit && !atEnd {
		ends, n = framer.Frame(ends[:0], data, true)
	}
	return data[:n], ends
}

// take moves the cursor over data, which ends the used part of the buffer.
func (s *Set) take(lane int, g *Generation, at int64, used, data []byte, ends []int) (Segment, int, Verdict) {
	s.name(g, data, used, at)
	next := at + int64(len(data))
	seg := Segment{
		Generation: g,
		Chunk:      record.Chunk{Source: g.Source, Data: data, Offset: at, Next: next, Ends: ends, Time: g.time(at)},
		marker:     markOf(used),
	}
	s.move(lane, g, next, used)
	return seg, len(used), Took
}

// firstLonger is where the first record of more than most bytes begins and ends; start is len(data) and end 0 without one.
// Lines are skipped in strides of most bytes, so that looking costs next to nothing.
func firstLonger(data []byte, ends []int, most int) (start, end int) {
	for _, e := range ends {
		if e-start > most+1 {
			return start, e
		}
		start = e
	}
	if ends != nil {
		return len(data), 0
	}
	for len(data)-start > most+1 {
		newline := bytes.LastIndexByte(data[start:start+most+1], '\n')
		if newline < 0 {
			if n := bytes.IndexByte(data[start:], '\n'); n >= 0 {
				return start, start + n + 1
			}
			return start, len(data)
		}
		start += newline + 1
	}
	return len(data), 0
}

// before is the records that end at or before at.
func before(data []byte, ends []int, at int) ([]byte, []int) {
	n := len(ends)
	for n > 0 && ends[n-1] > at {
		n--
	}
	return data[:at], ends[:n]
}

// overlong handles a record that is longer than max_line: it looks for its end, unless that is known, and applies the policy.
func (s *Set) overlong(lane int, g *Generation, src source, at int64, buf []byte, phase int, end int64) (Segment, int, Verdict) {
	in := &s.inputs[g.Input]
	s.mu.Lock()
	prefix := len(g.cursors[lane].tail)
	s.mu.Unlock()
	data := buf[prefix : prefix+in.MaxLine]
	if in.Overlong == OverlongSplit {
		s.count.Overlong.Inc()
		return s.take(lane, g, at, buf[:prefix+in.MaxLine], data, []int{in.MaxLine})
	}
	next, found := end, end > 0
	if !found {
		next, found = findNewline(src, at+int64(in.MaxLine))
	}
	if !found && phase < phaseSettled {
		s.stuck(lane, g, next, phase)
		return Segment{}, 0, Nothing
	}
	s.count.Overlong.Inc()
	s.name(g, data, data, at)
	var last [markerBytes]byte
	n, _ := src.ReadAt(last[:], next-markerBytes)
	seg := Segment{
		Generation: g,
		Chunk:      record.Chunk{Source: g.Source, Data: data, Offset: at, Next: next, Ends: []int{len(data)}, Truncated: true, Time: g.time(at)},
		marker:     markOf(last[:n]),
	}
	if in.Overlong == OverlongDrop {
		seg.Chunk.Data, seg.Chunk.Ends, seg.Chunk.Truncated = nil, nil, false
		s.count.Drop("overlong", 1, next-at)
	}
	s.move(lane, g, next, last[:n])
	return seg, prefix + len(data), Took
}

// findNewline is the offset after the first newline at or after from, or the end of the file and false.
func findNewline(src io.ReaderAt, from int64) (int64, bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := src.ReadAt(buf, from)
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			return from + int64(i) + 1, true
		}
		from += int64(n)
		if err != nil {
			return from, false
		}
	}
}

// time gives the records at offset at a time that a later read of the same bytes gives them again.
func (g *Generation) time(at int64) int64 { return g.born + at }

func (s *Set) move(lane int, g *Generation, next int64, used []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &g.cursors[lane]
	if next < c.read {
		return // dropped meanwhile
	}
	s.count.Read.Add(float64(next - c.read))
	c.read, c.stuckAt = next, -1
	c.tail = append(c.tail[:0], used[max(0, len(used)-markerBytes):]...)
	g.size = max(g.size, next)
	s.soil() // Position.Sent
}

func (s *Set) stuck(lane int, g *Generation, size int64, phase int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.size = max(g.size, size)
	g.cursors[lane].stuckAt, g.cursors[lane].stuckPhase = size, phase
}

// suspect notes what was seen in src, unless Run has looked meanwhile and g is read from elsewhere.
func (s *Set) suspect(g *Generation, src source) {
	s.mu.Lock()
	stale := g.src != src
	g.suspect = g.suspect || !stale
	s.mu.Unlock()
	if !stale {
		s.kick()
	}
}

// pause leaves a file alone for a while after a read error.
func (s *Set) pause(lane int, g *Generation, err error) {
	s.mu.Lock()
	g.cursors[lane].pauseUntil = time.Now().Add(rescanEvery)
	s.mu.Unlock()
	s.log.Warn("cannot read file, will try again", "path", g.Source.Path, "error", fmt.Errorf("read: %w", err))
}
