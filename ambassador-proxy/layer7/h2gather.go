package layer7

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

// Gather writes what the streams of an HTTP/2 connection have to say in as few system calls as it can: net/http makes one or
// more for each frame, and those are most of what it costs. What is written waits until the goroutines that were ready to run
// have run, no longer. Writes must come one after another, and errors are told with a later one.
type Gather struct {
	conn  net.Conn
	look  func()        // later, bound once
	stuck time.Duration // without a byte taken, after which the connection is closed; 0: for ever

	mu        sync.Mutex
	waits     *[]byte // nil: nothing
	scheduled bool
	err       error

	out   sync.Mutex // held while conn is written to
	bound time.Time  // of the writes, as set last
}

const (
	gatherBytes = 32 << 10
	closeTime   = 100 * time.Millisecond // for what waits when the connection is closed
)

var gathered = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// NewGather writes to conn.
func NewGather(conn net.Conn, stuck time.Duration) *Gather {
	g := &Gather{conn: conn, stuck: stuck}
	g.look = g.later
	return g
}

func (g *Gather) Write(p []byte) (int, error) {
	g.mu.Lock()
	if g.err != nil {
		defer g.mu.Unlock()
		return 0, g.err
	}
	if g.waits == nil {
		g.waits = gathered.Get().(*[]byte)
	}
	if len(*g.waits)+len(p) > gatherBytes {
		g.mu.Unlock()
		return g.through(p)
	}
	*g.waits = append(*g.waits, p...)
	first := !g.scheduled
	g.scheduled = true
	g.mu.Unlock()
	if first {
		go g.look()
	}
	return len(p), nil
}

// through writes p behind what waits.
func (g *Gather) through(p []byte) (int, error) {
	g.out.Lock()
	defer g.out.Unlock()
	if err := g.flush(); err != nil {
		return 0, err
	}
	return len(p), g.write(p)
}

func (g *Gather) later() {
	runtime.Gosched()
	g.out.Lock()
	defer g.out.Unlock()
	_ = g.flush()
}

// flush writes what waits. The caller holds out.
func (g *Gather) flush() error {
	g.mu.Lock()
	b, err := g.waits, g.err
	g.waits, g.scheduled = nil, false
	g.mu.Unlock()
	if b == nil {
		return err
	}
	if err == nil {
		err = g.write(*b)
	}
	*b = (*b)[:0]
	gathered.Put(b)
	return err
}

func (g *Gather) write(p []byte) error {
	for {
		if g.stuck > 0 {
			if now := time.Now(); g.bound.Sub(now) < g.stuck {
				g.bound = now.Add(g.stuck + time.Second)
				_ = g.conn.SetWriteDeadline(g.bound)
			}
		}
		n, err := g.conn.Write(p)
		if p = p[n:]; n > 0 && len(p) > 0 && errors.Is(err, os.ErrDeadlineExceeded) && g.stuck > 0 {
			continue
		}
		if err != nil {
			g.mu.Lock()
			g.err = err
			g.mu.Unlock()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				g.conn.Close() // who reads would not know; a peer that has gone may have left a GOAWAY to read
			}
		}
		return err
	}
}

// Close closes the connection behind what waits.
func (g *Gather) Close() error {
	g.mu.Lock()
	idle := g.waits == nil && !g.scheduled
	g.mu.Unlock()
	if !idle {
		_ = g.conn.SetWriteDeadline(time.Now().Add(closeTime))
		g.out.Lock()
		g.bound = time.Now().Add(time.Hour) // the deadline stays
		_ = g.flush()
		g.out.Unlock()
	}
	return g.conn.Close()
}
