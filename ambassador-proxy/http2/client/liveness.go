package client

import (
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

// liveness asks a connection that is silent while streams are open whether it lives. Servers take many questions for an attack:
// grpc-go ends a connection at the fourth that comes within five minutes of the one before, with no HEADERS or DATA of its own
// in between. An answered PING says that the other side lives; what it does with its streams is the business of their timers.
type liveness struct {
	timer   *time.Timer
	armed   bool
	since   time.Time // the first of the streams was opened
	asked   time.Time // zero: no answer is waited for
	asks    int       // PINGs since the last HEADERS or DATA
	stopped bool
}

const (
	quickAsks = 2 // before further ones are rare
	rareAsks  = 5*time.Minute + 10*time.Second
)

// opened is called with mu held when a stream was opened.
func (l *liveness) opened(c *Conn) {
	if c.config.Quiet == 0 || l.stopped {
		return
	}
	if len(c.streams) == 1 {
		l.since = time.Now()
	}
	if l.armed {
		return
	}
	l.armed = true
	if l.timer == nil {
		l.timer = time.AfterFunc(c.config.Quiet, c.look)
	} else {
		l.timer.Reset(c.config.Quiet)
	}
}

func (l *liveness) stop() {
	l.stopped = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

// look is called when the silence may have lasted for too long.
func (c *Conn) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, now := &c.liveness, time.Now()
	if l.stopped {
		return
	}
	if len(c.streams) == 0 {
		l.armed, l.asked = false, time.Time{}
		return
	}
	if !l.asked.IsZero() {
		if c.heard.Before(l.asked) {
			c.end(errDead)
			c.nc.Close()
			return
		}
		l.asked = time.Time{}
	}
	last := c.heard
	if l.since.After(last) {
		last = l.since
	}
	quiet := c.config.Quiet
	if l.asks >= quickAsks {
		quiet = rareAsks
	}
	if left := last.Add(quiet).Sub(now); left > 0 {
		l.timer.Reset(min(left, c.config.Quiet))
		return
	}
	l.asked = now
	l.asks++
	c.out = http2.AppendPing(c.out, [8]byte{'a', 'l', 'i', 'v', 'e', '?'}, false)
	c.flushSoon()
	l.timer.Reset(c.config.Pong)
}
