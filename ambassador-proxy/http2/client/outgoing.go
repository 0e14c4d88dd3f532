package client

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

const (
	outBytes  = 64 << 10 // that wait to be written, past which bodies wait
	outFlood  = 1 << 20  // past which the peer is one that asks and does not listen
	readAfter = time.Second
)

var outs = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// outgoing is what is written. Frames are appended to out; a goroutine writes them when the goroutines that were ready to run
// have run and appended theirs, no later.
type outgoing struct {
	out            []byte
	flushFn        func()
	flushing       bool
	broken         bool      // a write has failed; the reader tells why
	closing        bool      // the connection is closed behind what waits
	taken, written int64     // bytes that were taken from out, and that the kernel has got
	bound          time.Time // of writes, as it was set last
	blocked        []*Stream // whose bodies wait
	encoder        *hpack.Encoder
}

func (o *outgoing) start(flush func()) {
	o.flushFn = flush
	o.encoder = hpack.NewEncoder(blocks{o})
}

// blocks is where the encoder writes.
type blocks struct{ o *outgoing }

func (b blocks) Write(p []byte) (int, error) {
	b.o.out = append(b.o.out, p...)
	return len(p), nil
}

// writeHead writes HEADERS, and CONTINUATION as needed.
func (c *Conn) writeHead(id uint32, fields []hpack.HeaderField, end bool) {
	at := len(c.out)
	c.out = http2.BeginHeaders(c.out)
	for _, f := range fields {
		_ = c.encoder.WriteField(f) // blocks take all
	}
	c.out = http2.FinishHeaders(c.out, at, id, end, c.frameBytes())
	c.flushSoon()
}

// frameBytes are those of the payload of a frame at most.
func (c *Conn) frameBytes() int { return min(c.allowed.Frame, outBytes/2) }

func (c *Conn) flushSoon() {
	if !c.flushing {
		c.flushing = true
		go c.flushFn()
	}
}

// flush writes until nothing waits.
func (c *Conn) flush() {
	for {
		runtime.Gosched()
		c.mu.Lock()
		if len(c.out) == 0 || c.broken {
			c.taken += int64(len(c.out))
			c.out, c.flushing = c.out[:0], false
			closing := c.closing
			c.mu.Unlock()
			if closing {
				c.nc.Close()
			}
			return
		}
		b, next := c.out, outs.Get().(*[]byte)
		c.taken += int64(len(b))
		c.out = (*next)[:0]
		c.written = c.taken // as far as anybody knows
		c.mu.Unlock()
		n, err := c.write(b)
		if cap(b) <= 2*outBytes {
			*next = b[:0]
			outs.Put(next)
		}
		c.mu.Lock()
		if err != nil {
			c.written -= int64(len(b) - n)
			c.unwritten(err)
		}
		c.unblock()
		c.mu.Unlock()
	}
}

// unwritten notes that a write has failed. A peer that has gone may have left answers and a GOAWAY to read.
func (c *Conn) unwritten(err error) {
	c.broken, c.leaving = true, true
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.end(err)
		c.nc.Close()
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(readAfter))
}

// write writes all of p, as long as some of it is taken now and then.
func (c *Conn) write(p []byte) (sent int, err error) {
	stuck := c.config.Stuck
	for {
		if stuck > 0 {
			if now := time.Now(); c.bound.Sub(now) < stuck {
				c.bound = now.Add(stuck + time.Second)
				c.mu.Lock()
				if !c.closing {
					_ = c.nc.SetWriteDeadline(c.bound)
				}
				c.mu.Unlock()
			}
		}
		n, err := c.nc.Write(p[sent:])
		sent += n
		if n > 0 && sent < len(p) && stuck > 0 && errors.Is(err, os.ErrDeadlineExceeded) && !c.ending() {
			continue
		}
		return sent, err
	}
}

func (c *Conn) ending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// unblock wakes those whose bodies wait for what is not their own.
func (c *Conn) unblock() {
	if c.window <= 0 && !c.broken {
		return
	}
	for i, s := range c.blocked {
		s.blocked = false
		s.signalRoom()
		c.blocked[i] = nil
	}
	c.blocked = c.blocked[:0]
}
