// Package deliver brings what was read to the outputs: one Lane for each output, each at its own pace. A lane fills one batch
// while it sends the other, with one request under way, which keeps the order; it sends each batch until it is answered
// for, and only then moves the positions. Where the answer comes later (output.Deferred), more batches are out meanwhile. The
// log files are the queue: while an output is away its lane simply stops reading.
package deliver

import (
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/tail"
)

const (
	// batchBytes of input make a batch: larger ones leave the processor's cache and cost more than they save.
	batchBytes = 256 << 10
	// minRead is the free space below which a batch is closed rather than filled up.
	minRead = 32 << 10
	// flushAfter is how long a batch waits after its first read; with the tick of tail, a line waits 200 ms at most.
	flushAfter = 100 * time.Millisecond
	// flushPacked is the same where batches are compressed: a larger batch packs better.
	flushPacked = 900 * time.Millisecond
	// flushEarly is how much earlier it may go: a batch that was begun after one tick is a little younger than flushAfter at
	// the next, and would cost a wake-up of its own.
	flushEarly = 10 * time.Millisecond
	// restAfter without anything to read, a lane gives its memory back, which costs a collection, so every restEvery at most.
	restAfter = 3 * time.Second
	restEvery = time.Minute
	// turnBytes is what one file may have read before the next one gets its turn.
	turnBytes = 1 << 20
	// perByte is what a byte of input takes of the memory budget: itself, and its part of an encoding of twice the size, which
	// one of two batches has at a time.
	perByte = 2
	// perByteKept is the same where each batch keeps its encoding.
	perByteKept = 3
)

// Batching says when a batch is closed: with so many bytes of input, or so long after its first read.
type Batching struct {
	Bytes int
	Wait  time.Duration
	Kept  bool // each is kept encoded until it is answered for
}

// BatchingFor is what suits an output.
func BatchingFor(c *output.Config) Batching {
	b := Batching{Bytes: batchBytes, Wait: flushAfter, Kept: c.Deferred()}
	switch {
	case c.S3 != nil: // each batch is an object, and each object is paid for
		b.Bytes, b.Wait = c.S3.Object()
	case c.Compressed():
		b.Wait = flushPacked
	}
	return b
}

// Memory is what the batches of an output take of the memory budget, in bytes; less makes no progress.
func (b Batching) Memory() int64 { return 2 * b.budget(b.Bytes+tail.Margin) }

// budget is what a batch takes of it whose buffer has so many bytes.
func (b Batching) budget(buffer int) int64 {
	if b.Kept {
		return int64(buffer) * perByteKept
	}
	return int64(buffer) * perByte
}

// WindowFor is how many batches each of so many outputs may have under way with a memory budget of so many bytes: each can use
// up its share without waiting for the others.
func WindowFor(memory int64, outputs int) int {
	return int(2 * memory / int64(outputs) / Batching{Bytes: batchBytes, Kept: true}.Memory())
}

// batch is input as it was read, and its encoding once it is sent.
type batch struct {
	raw      []byte // chunks point into it
	segments []tail.Segment
	pieces   []piece
	body     []byte
	records  int
	opened   time.Time
	budget   int64 // taken for it
}

// piece is a run of records of one chunk, with what the stages decided about each.
type piece struct {
	chunk record.Chunk
	input int
	keep  []bool // nil: all
}

// buffer makes sure that there is one to read so many bytes into.
func (b *batch) buffer(size int) {
	if b.raw == nil {
		b.raw = make([]byte, 0, size+tail.Margin)
	}
}

func (b *batch) reset() {
	b.raw, b.segments, b.pieces, b.body, b.records = b.raw[:0], b.segments[:0], b.pieces[:0], b.body[:0], 0
}

func (b *batch) empty() bool { return len(b.segments) == 0 }
func (b *batch) free() int   { return cap(b.raw) - len(b.raw) }

func inputBytes(pieces []piece) (n int) {
	for i := range pieces {
		n += len(pieces[i].chunk.Data)
	}
	return n
}

// halve cuts pieces in two of about the same number of records. One record cannot be cut: right is then empty.
func halve(pieces []piece) (left, right []piece) {
	total := 0
	for i := range pieces {
		total += pieces[i].chunk.Count()
	}
	want := total / 2
	for i := range pieces {
		n := pieces[i].chunk.Count()
		if n <= want {
			left, want = append(left, pieces[i]), want-n
			continue
		}
		if want > 0 {
			a, b := cut(pieces[i], want)
			left, right = append(left, a), append(right, b)
		} else {
			right = append(right, pieces[i])
		}
		return left, append(right, pieces[i+1:]...)
	}
	return left, right
}

// cut splits a piece after its first n records.
func cut(p piece, n int) (a, b piece) {
	at, i := 0, 0
	for _, end := range p.chunk.Records() {
		if i++; i == n {
			at = end
			break
		}
	}
	a, b = p, p
	a.chunk = p.chunk.Slice(0, at, nil)
	b.chunk = p.chunk.Slice(at, len(p.chunk.Data), nil)
	if p.keep != nil {
		a.keep, b.keep = p.keep[:n], p.keep[n:]
	}
	return a, b
}

// single is the piece that holds only the record with the index among those that were kept.
func single(pieces []piece, index int) (piece, bool) {
	for _, p := range pieces {
		i := 0
		for start, end := range p.chunk.Records() {
			if p.keep == nil || p.keep[i] {
				if index == 0 {
					one := piece{chunk: p.chunk.Slice(start, end, nil), input: p.input}
					if p.keep != nil {
						one.keep = []bool{true}
					}
					return one, true
				}
				index--
			}
			i++
		}
	}
	return piece{}, false
}
