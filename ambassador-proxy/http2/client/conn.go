// Package client is the client's side of HTTP/2 connections (RFC 9113): many streams on one connection, with one goroutine
// that reads, and writes that are gathered.
//
// One mutex guards all of a connection. The reader handles everything that one read has brought under one lock, and then
// wakes the goroutines of the streams concerned. Nothing that those call waits for the network.
package client

import (
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

// Config of a connection.
type Config struct {
	Stuck time.Duration // the upstream may take no byte for so long; 0: for ever
	Quiet time.Duration // nothing is heard while streams are open, after which it is asked whether it lives; 0: never
	Pong  time.Duration // the answer to that may take so long
}

const (
	streamWindow = 1 << 20  // bytes of an answer that wait for who reads it
	connWindow   = 4 << 20  // of all streams together
	firstStreams = 100      // as many are opened before the upstream has said how many it takes
	mostStreams  = 1000     // of one connection; then another one is better
	maxFields    = 64 << 10 // bytes of the fields of one head, as RFC 9113, 6.5.2 counts them
	closeTime    = 100 * time.Millisecond
)

// Conn is a connection. All methods may be called by many goroutines at once.
type Conn struct {
	nc      net.Conn
	config  Config
	settled chan struct{} // closed when the peer has said what it allows, or never will
	done    chan struct{}

	mu      sync.Mutex
	streams map[uint32]*Stream
	next    uint32    // identifier of the next stream
	leaving bool      // there will be no further one
	err     error     // why it has ended
	goAway  error     // what the peer said when it took its leave
	heard   time.Time // when something was read last
	used    time.Time // when the last stream has ended

	// Flow control (RFC 9113, 5.2), and what else the peer allows.
	allowed  http2.Allowed
	window   http2.Window // of the connection
	incoming http2.Inflow // of the connection
	unread   int          // bytes of all streams that nobody has taken yet

	outgoing
	reading
	liveness
}

// New starts a connection on nc, which it closes. Close it.
func New(nc net.Conn, config Config) *Conn {
	now := time.Now()
	c := &Conn{
		nc: nc, config: config, settled: make(chan struct{}), done: make(chan struct{}), streams: map[uint32]*Stream{}, next: 1,
		heard: now, used: now, allowed: http2.Initially(), window: http2.DefaultWindow, incoming: http2.NewInflow(connWindow),
	}
	c.allowed.Streams = firstStreams
	c.outgoing.start(c.flush)
	c.reading.start(nc)
	c.out = append(c.out, http2.ClientPrefix...)
	c.out = http2.AppendSettings(c.out,
		http2.Setting{ID: http2.EnablePush, Value: 0},
		http2.Setting{ID: http2.InitialWindowSize, Value: streamWindow},
		http2.Setting{ID: http2.MaxHeaderListSize, Value: maxFields})
	c.out = http2.AppendWindowUpdate(c.out, 0, connWindow-http2.DefaultWindow)
	c.mu.Lock()
	c.flushSoon()
	c.mu.Unlock()
	go c.read()
	return c
}

// Settled is closed when the peer has said what it allows, or never will.
func (c *Conn) Settled() <-chan struct{} { return c.settled }

// Err is why the connection has ended; nil while it lives.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Idle is for how long no stream has been open; 0 while one is.
func (c *Conn) Idle(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.streams) > 0 {
		return 0
	}
	return now.Sub(c.used)
}

// Retire takes no further stream and closes the connection when the last one has ended.
func (c *Conn) Retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retire()
}

func (c *Conn) retire() {
	c.leaving = true
	if len(c.streams) == 0 {
		c.end(errRetired)
	}
}

// Close ends the connection with all that is on it, and waits until nothing of it runs.
func (c *Conn) Close() {
	c.mu.Lock()
	c.end(net.ErrClosed)
	c.mu.Unlock()
	<-c.done
}

// end is called with mu held. What waits is written within a moment, a GOAWAY with it, and then the connection is closed.
func (c *Conn) end(why error) {
	if c.err != nil {
		return
	}
	c.err, c.leaving = why, true
	for _, s := range c.streams {
		s.failed(c.lost(s))
	}
	clear(c.streams)
	c.settle()
	c.liveness.stop()
	c.out = http2.AppendGoAway(c.out, 0, codeOf(why), "")
	c.closing = true
	_ = c.nc.SetWriteDeadline(time.Now().Add(closeTime))
	c.flushSoon()
}

func (c *Conn) settle() {
	select {
	case <-c.settled:
	default:
		close(c.settled)
	}
}

// forget takes a stream that has ended on both sides off the connection. The caller holds mu.
func (c *Conn) forget(s *Stream) {
	if c.streams[s.id] != s {
		return
	}
	delete(c.streams, s.id)
	if len(c.streams) > 0 {
		return
	}
	if c.used = time.Now(); c.leaving {
		c.end(errRetired)
	}
}

// Request opens a stream.
type Request struct {
	Fields []hpack.HeaderField // in lower case, pseudo fields first
	End    bool                // there is no body
	Head   bool                // the method is HEAD: the answer has no body either
	// Event is signalled, without waiting, when there may be something to take by Next, and Room when Write may go on. They
	// may be one channel; each needs room for one signal.
	Event, Room chan struct{}
}

// gone tells whether the peer has closed, before the reader knows.
func (c *Conn) gone() bool {
	gone, _ := c.peeker.Look()
	return gone
}

// Open opens a stream. It is nil when the connection takes none, now or for ever.
func (c *Conn) Open(r *Request) *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A connection whose window is held up by slow readers would hold up the new stream too.
	if c.leaving || len(c.streams) == 0 && c.gone() || len(c.streams) >= int(min(c.allowed.Streams, mostStreams)) || c.unread > connWindow/2 {
		return nil
	}
	s := streams.Get().(*Stream)
	s.conn, s.id, s.event, s.room = c, c.next, r.Event, r.Room
	s.window, s.incoming = http2.Window(c.allowed.Window), http2.NewInflow(streamWindow)
	s.sent, s.bodiless, s.length = r.End, r.Head, -1
	s.at = c.taken + int64(len(c.out))
	c.streams[s.id] = s
	if c.next += 2; c.next > http2.MaxStream {
		c.leaving = true // RFC 9113, 5.1.1
	}
	c.writeHead(s.id, r.Fields, r.End)
	c.liveness.opened(c)
	return s
}
