package layer7

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// tickEvery is how coarse timeouts are, and how soon a client that left is noticed.
const tickEvery = 250 * time.Millisecond

// janitor interrupts links whose time is up. A store to an atomic arms a timer: setting a deadline on a connection
// would cost more than parsing the message.
type janitor struct {
	clock atomic.Int64 // Unix nanoseconds, coarse
	wake  chan struct{}

	mu      sync.Mutex
	links   []*link // of clients
	workers int     // of them that are streams
	closed  bool
}

func (j *janitor) tick() int64 {
	now := time.Now().UnixNano()
	j.clock.Store(now)
	return now
}

// in is the coarse time d from now.
func (j *janitor) in(d time.Duration) int64 { return j.clock.Load() + int64(d) }

// add starts to look after a client's link, whose goroutine running counts; false after close.
func (j *janitor) add(l *link, running *sync.WaitGroup) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return false
	}
	running.Add(1)
	l.slot = len(j.links)
	j.links = append(j.links, l)
	if l.virtual != nil {
		j.workers++
	} else if len(j.links)-j.workers == 1 {
		j.tick()
		select {
		case j.wake <- struct{}{}:
		default:
		}
	}
	return true
}

func (j *janitor) remove(l *link) {
	j.mu.Lock()
	defer j.mu.Unlock()
	last := len(j.links) - 1
	j.links[l.slot] = j.links[last]
	j.links[l.slot].slot = l.slot
	j.links[last] = nil
	j.links = j.links[:last]
	if l.virtual != nil {
		j.workers--
	}
}

func (j *janitor) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.links) - j.workers
}

// run ticks while there are connections and sleeps while there are none.
func (j *janitor) run(ctx context.Context) {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if j.sweep(j.tick()) > 0 {
			continue
		}
		t.Stop()
		select {
		case <-ctx.Done():
			return
		case <-j.wake:
			j.tick()
			t.Reset(tickEvery)
		}
	}
}

func (j *janitor) sweep(now int64) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	busy := len(j.links) - j.workers
	for _, l := range j.links {
		expire(l, now)
		p, since := l.peer.Load(), l.waiting.Load()
		if p != nil {
			expire(p, now)
			busy++
		}
		if since == 0 || now-since < int64(tickEvery) {
			continue
		}
		if p == nil {
			if l.virtual == nil {
				lookAtIdle(l, since)
			}
			continue
		}
		if !l.dead(false) {
			continue
		}
		// The client is gone. until must be read before waiting is looked at again: then it is this request's, and
		// whoever uses the upstream's connection next has set another.
		armed := p.until.Load()
		if armed > 0 && l.waiting.Load() == since && l.peer.Load() == p {
			p.interrupt(firedClientGone, armed)
		}
	}
	return busy
}

// lookAtIdle looks once whether a client that has been idle since then has left: that it sent its end together with its last
// request, of which session.serve is not told.
func lookAtIdle(l *link, since int64) {
	armed := l.until.Load() // before waiting is looked at again: then it is the idle timeout
	if armed > 0 && l.waiting.CompareAndSwap(since, 0) && l.dead(false) {
		l.interrupt(firedClientGone, armed)
	}
}

func expire(l *link, now int64) {
	if u := l.until.Load(); u > 0 && u < now {
		l.interrupt(firedTimeout, u)
	}
}

// close interrupts everything for good.
func (j *janitor) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	past := time.Unix(1, 0)
	for _, l := range j.links {
		l.nc.SetDeadline(past)
		if p := l.peer.Load(); p != nil {
			p.nc.SetDeadline(past)
		}
	}
}
