package deliver

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/pod-helpers/pod-helpers/internal/kit/trim"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/tail"
)

// Config is what a Lane needs.
type Config struct {
	Index  int    // of the lane in the Set
	Name   string // of the output
	Set    *tail.Set
	Out    output.Output
	Routes []Route // by input
	// Memory is shared by all lanes: what is read and not yet acknowledged.
	Memory *semaphore.Weighted
	// Window is how many batches may be under way where Out is an output.Deferred; the others have two, one of which is filled.
	Window int
	// Batching is when a batch is closed.
	Batching Batching
	// Known returns when the records of the segments may leave, because a resend would be known by their IDs; nil: at once.
	Known func(context.Context, []tail.Segment) error
	Dead  *DeadLetters
	Tap   *Tap
	Log   *slog.Logger
}

// Lane drives one output. One goroutine fills batches; another encodes and sends them.
type Lane struct {
	Config
	count  *Counters
	enc    encoder
	spare  []byte // for the next body; the sender's while not all batches are idle
	full   chan *batch
	idle   chan *batch
	limit  atomic.Int64 // input bytes of a batch; halved by 413
	held   atomic.Int64 // of the memory budget
	health health
}

// NewLane makes a lane; Run starts it.
func NewLane(c Config, count *Counters) (*Lane, error) {
	batches := 2
	if _, ok := c.Out.(output.Deferred); ok {
		batches = min(max(batches, c.Window), mostBatches)
	}
	l := &Lane{Config: c, count: count, full: make(chan *batch, 1), idle: make(chan *batch, batches)}
	l.enc = encoder{out: c.Out, routes: c.Routes, count: count, tap: c.Tap}
	l.limit.Store(int64(c.Batching.Bytes))
	l.took(&output.Batch{}) // its counters are there from the start
	for range batches {
		l.idle <- &batch{}
	}
	l.health.progress(time.Now())
	if r, ok := c.Out.(output.Resumable); ok {
		if err := r.Resume(c.Set.Resumed(c.Index)); err != nil {
			return nil, fmt.Errorf("resume output %s: %w", c.Name, err)
		}
		c.Set.Acknowledge(c.Index, nil, r.State()) // nothing leaves before the first save, which is to know where the output stood
	}
	return l, nil
}

// Run reads until read ends, delivers what was handed over, and returns when that is done or send has ended too.
func (l *Lane) Run(read, send context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { l.fillBatches(read) })
	wg.Go(func() {
		if out, ok := l.Out.(output.Deferred); ok {
			w := window{Lane: l, out: out}
			w.run(send)
			return
		}
		l.sendBatches(send)
	})
	wg.Wait()
	l.count.InFlight.Sub(float64(l.held.Load())) // the gauge outlives the lane, and what was not delivered is given up
}

// fillBatches reads what is ready, in turns, and hands a batch over when it is full or old.
func (l *Lane) fillBatches(ctx context.Context) {
	defer close(l.full)
	f := filler{Lane: l, flush: time.NewTimer(time.Hour)}
	defer f.flush.Stop()
	for ctx.Err() == nil {
		if f.turn(ctx) {
			f.busy = time.Now()
			continue
		}
		if f.due() {
			f.handOver(ctx)
			continue
		}
		f.putBack()
		f.rest()
		select {
		case <-ctx.Done():
		case <-l.Set.Wake(l.Index):
		case <-f.flush.C:
		}
	}
}

type filler struct {
	*Lane
	b     *batch // nil: none begun
	ready []*tail.Generation
	flush *time.Timer
	busy  time.Time // when something was read last; zero once its memory is given back
	rests time.Time // when memory was given back last
}

// due says that the begun batch must not wait longer.
func (f *filler) due() bool {
	if f.b == nil || f.b.empty() {
		return false
	}
	wait := f.Batching.Wait - time.Since(f.b.opened)
	if wait <= flushEarly || f.Set.Closing() {
		return true
	}
	f.flush.Reset(wait)
	return false
}

// turn gives each file that is ready its turn and says whether anything was read.
func (f *filler) turn(ctx context.Context) (took bool) {
	f.ready = f.Set.Ready(f.Index, f.ready[:0])
	for _, g := range f.ready {
		for left := turnBytes; left > 0; {
			if f.b == nil && !f.begin(ctx) {
				return false
			}
			n, verdict := f.read(g)
			if verdict == tail.Full {
				f.makeRoom(ctx)
				continue
			}
			if verdict == tail.Nothing {
				break
			}
			took, left = true, left-n
			if f.b.free() < minRead || len(f.b.raw) >= int(f.limit.Load()) {
				f.handOver(ctx)
			}
		}
	}
	return took
}

// begin takes an empty batch and its share of the memory budget.
func (f *filler) begin(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case b := <-f.idle:
		b.buffer(f.Batching.Bytes)
		b.budget = f.Batching.budget(cap(b.raw))
		if f.Memory.Acquire(ctx, b.budget) != nil {
			return false
		}
		f.count.InFlight.Add(float64(b.budget))
		f.held.Add(b.budget)
		f.b = b
		return true
	}
}

// putBack returns a batch that nothing was read into: an idle lane takes no memory from the others.
func (f *filler) putBack() {
	if f.b == nil || !f.b.empty() {
		return
	}
	f.recycle(f.b)
	f.b = nil
}

// rest gives the memory of the last batches back to the system when nothing has come for a while. Set wakes the lane often
// enough for that.
func (f *filler) rest() {
	if f.b != nil || f.busy.IsZero() || len(f.idle) < cap(f.idle) || time.Since(f.busy) < restAfter || time.Since(f.rests) < restEvery {
		return
	}
	f.busy, f.rests = time.Time{}, time.Now()
	for range cap(f.idle) {
		<-f.idle
		f.idle <- &batch{}
	}
	f.spare = nil
	trim.Idle()
}

// makeRoom answers a buffer that is too small for a record: an empty batch instead of a begun one, else a larger buffer.
// What it is larger by is bounded by max_line and not part of the budget, because waiting for it could deadlock two lanes.
func (f *filler) makeRoom(ctx context.Context) {
	if !f.b.empty() {
		f.handOver(ctx)
		return
	}
	f.b.raw = make([]byte, 0, 2*cap(f.b.raw))
}

// read reads once from g into the batch and says how much of its turn that took.
func (f *filler) read(g *tail.Generation) (int, tail.Verdict) {
	b := f.b
	room := b.raw[len(b.raw):cap(b.raw)]
	if most := max(int(f.limit.Load()), minRead) + tail.Margin; !f.grown() && len(room) > most {
		room = room[:most] // the destination wants smaller bodies
	}
	seg, used, verdict := f.Set.Read(f.Index, g, room, f.Routes[g.Input].Framer, nil)
	if verdict != tail.Took {
		return 0, verdict
	}
	if b.empty() {
		b.opened = time.Now()
	}
	b.raw = b.raw[:len(b.raw)+used]
	b.segments = append(b.segments, seg)
	if len(seg.Chunk.Data) > 0 && !isPadding(f.Routes[g.Input].Framer, seg.Chunk.Data) {
		b.pieces = append(b.pieces, piece{chunk: seg.Chunk, input: g.Input})
		if !f.Routes[g.Input].Redacted {
			f.Tap.See(&seg.Chunk)
		}
	}
	if seg.Last {
		return turnBytes, verdict // its turn is over: what it gets meanwhile is seen at the next look
	}
	return int(seg.Chunk.Next - seg.Chunk.Offset), verdict
}

// isPadding says that data is no record, as the framer may know: half of a newline that takes two bytes.
func isPadding(framer record.Framer, data []byte) bool {
	p, ok := framer.(interface{ Padding(data []byte) bool })
	return ok && p.Padding(data)
}

// grown says that the buffer was enlarged for one long record.
func (f *filler) grown() bool { return cap(f.b.raw) > f.Batching.Bytes+tail.Margin }

// handOver gives the batch to the sender.
func (f *filler) handOver(ctx context.Context) {
	b := f.b
	f.b = nil
	select {
	case f.full <- b:
	case <-ctx.Done():
	}
}
