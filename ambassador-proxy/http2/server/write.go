package server

import (
	"runtime"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

// schedule has what waits written, when the goroutines that are ready to run have run: they may have something to say too.
func (c *Conn) schedule() {
	if !c.flushing {
		c.flushing = true
		go c.flushFn()
	}
}

func (c *Conn) flushLater() {
	runtime.Gosched()
	c.mu.Lock()
	c.write()
	c.mu.Unlock()
}

const idleBytes = 4 << 10 // that a connection without streams holds at most for what it writes next

// now writes what waits without another goroutine, unless one is about to.
func (c *Conn) now() {
	if !c.flushing {
		c.flushing = true
		c.write()
	}
}

// write writes until nothing waits. The caller holds mu, which is free meanwhile, and has set flushing.
func (c *Conn) write() {
	for len(c.out) > 0 {
		b := c.out
		c.out, c.spare = c.spare[:0], nil
		c.mu.Unlock()
		_, err := c.t.Write(b)
		c.mu.Lock()
		if cap(b) <= 2*outMost {
			c.spare = b[:0]
		}
		if err != nil {
			c.out = nil
			if c.err == nil {
				c.end(err)
			}
			_ = c.t.Close() // who reads would not know
		}
		c.unblock()
	}
	c.flushing = false
	if len(c.streams) == 0 && cap(c.spare) > idleBytes {
		c.spare = nil
	}
	if c.err != nil && !c.over {
		c.over = true
		close(c.written)
	}
}

// unblock wakes the streams that wait for the connection.
func (c *Conn) unblock() {
	for i, s := range c.blocked {
		s.isBlocked = false
		s.signal()
		c.blocked[i] = nil
	}
	c.blocked = c.blocked[:0]
}

// blockStream has a stream woken when the connection can take more.
func (c *Conn) blockStream(s *Stream) {
	if !s.isBlocked {
		s.isBlocked = true
		c.blocked = append(c.blocked, s)
	}
}

// reset ends a stream from our side.
func (c *Conn) reset(id uint32, code http2.Code, why error) {
	if s := c.streams[id]; s != nil {
		c.remove(s, true)
		s.abort(why)
	} else {
		c.remember(id, true)
	}
	c.out = http2.AppendReset(c.out, id, code)
	c.schedule()
}

// remove forgets a stream that has ended.
func (c *Conn) remove(s *Stream, reset bool) {
	delete(c.streams, s.id)
	c.remember(s.id, reset)
	if len(c.streams) == 0 {
		c.quiet = time.Now()
	}
}

func (c *Conn) remember(id uint32, reset bool) {
	c.recent[c.closed%maxRecent] = closedStream{id, reset}
	c.closed++
}

// giveConn notes that n bytes of the connection's window were handled.
func (c *Conn) giveConn(n int) {
	if more := c.inflow.Give(n); more > 0 && c.err == nil {
		c.out = http2.AppendWindowUpdate(c.out, 0, more)
		c.schedule()
	}
}

// tickTime is how long a connection is left alone at most while something is to be looked after.
const tickTime = time.Second

// watch has the connection looked after.
func (c *Conn) watch() {
	if len(c.streams) == 1 { // the first
		c.timer.Reset(min(c.cfg.Quiet, tickTime))
	}
}

// tick looks after a connection.
func (c *Conn) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	now := time.Now()
	switch {
	case !c.block.IsZero() && now.Sub(c.block) >= c.cfg.Head:
		_ = c.fail(connError(http2.EnhanceYourCalm, "no complete head in time"))
	case !c.quiet.IsZero() && now.Sub(c.quiet) >= c.cfg.Idle:
		_ = c.fail(connError(http2.NoError, "idle"))
	case !c.asked.IsZero() && now.Sub(c.asked) >= c.cfg.Pong:
		c.end(connError(http2.NoError, "no answer to a ping"))
	case c.quiet.IsZero() && c.asked.IsZero() && now.Sub(c.heard) >= c.cfg.Quiet:
		c.asked = now
		c.out = http2.AppendPing(c.out, [8]byte{}, false)
		c.schedule()
	}
	if c.err != nil {
		go c.closeWritten() // which the reader does not know of
		return
	}
	next := tickTime
	if !c.quiet.IsZero() && c.block.IsZero() {
		next = max(c.cfg.Idle-now.Sub(c.quiet), time.Millisecond)
	}
	c.timer.Reset(next)
}

func (c *Conn) closeWritten() {
	<-c.written
	_ = c.t.Close()
}
