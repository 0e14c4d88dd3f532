// Package server is the server's side of HTTP/2 connections (RFC 9113): one goroutine reads a connection, its streams are handled
// by others, and what they have to say is gathered and written at once.
//
// One mutex guards all of a connection. The reader handles everything that one read has brought under one lock, and wakes the
// goroutines of the streams concerned.
package server

import (
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

// Transport is the connection below. One goroutine reads and one writes.
type Transport interface {
	// Bytes are those read and not yet skipped; More waits for further ones.
	Bytes() []byte
	Skip(n int)
	More() error
	Write(p []byte) (int, error)
	// SetWriteDeadline is as of a net.Conn, and so is Close: it wakes who reads or writes.
	SetWriteDeadline(t time.Time) error
	Close() error
}

// Config of connections.
type Config struct {
	// Start has Handle called with a stream, soon and by another goroutine. It must not block.
	Start func(s *Stream)
	// Malformed is told of a request that was refused for its form; may be nil.
	Malformed func(detail string)

	Head  time.Duration // for the preface, and for a header block
	Idle  time.Duration // without a stream
	Quiet time.Duration // nothing is heard while streams are open, after which the client is asked whether it lives
	Pong  time.Duration // the answer to that may take so long
}

const (
	maxStreams   = 250
	maxWaiting   = 4 * maxStreams // requests that wait for handlers of streams which the client has given up
	streamWindow = 256 << 10      // bytes of a request body that wait for who reads them
	connWindow   = 4 << 20        // of all streams together
	maxFields    = 64 << 10       // of a head, as RFC 9113, 6.5.2 counts them

	outMost  = 64 << 10 // bytes that wait to be written before who writes more must wait
	outHard  = 1 << 20  // and with the answers to what the client sends without reading them
	outAlone = 16 << 10 // from which on who writes does not leave it to another goroutine

	maxIdleFrames = 10_000 // that move nothing, in a second
	maxRecent     = 256    // streams remembered as closed
)

// Conn is a connection.
type Conn struct {
	t   Transport
	cfg *Config

	parser  http2.Parser
	decoder *http2.Decoder
	prefix  bool // the client's preface has come whole
	told    bool // and its settings

	mu      sync.Mutex
	streams map[uint32]*Stream
	last    uint32 // the highest stream of the client
	recent  [maxRecent]closedStream
	closed  int // how many there were
	running int // handlers
	waiting []*Stream
	err     error         // the connection has ended
	written chan struct{} // closed when what waited then has been written
	over    bool          // it is closed

	allowed http2.Allowed
	shrunk  bool         // the client has made the encoder's table smaller, which the next header block must acknowledge
	window  http2.Window // for all that we send
	inflow  http2.Inflow // of all that we get
	blocked []*Stream    // want to write, and wait for the connection

	out      []byte
	spare    []byte
	flushing bool // somebody writes, or is about to
	flushFn  func()

	idleFrames int
	second     time.Time // when they were counted from

	timer *time.Timer
	heard time.Time // when something was read last
	quiet time.Time // since when there is no stream; zero: there are some
	block time.Time // since when a head is waited for, the preface's or one that goes on; zero: none is
	asked time.Time // when a ping was sent that is not answered; zero: none is
}

type closedStream struct {
	id    uint32
	reset bool // by us: what the client had sent before it knew is no mistake
}

// Serve serves a connection until it ends. Handlers of its streams may run on.
func Serve(t Transport, cfg *Config) {
	now := time.Now()
	c := &Conn{t: t, cfg: cfg, streams: map[uint32]*Stream{}, allowed: http2.Initially(), window: http2.DefaultWindow,
		inflow: http2.NewInflow(connWindow), decoder: http2.NewDecoder(), parser: http2.Parser{Server: true},
		heard: now, quiet: now, block: now, second: now}
	c.flushFn = c.flushLater
	c.mu.Lock()
	c.out = http2.AppendSettings(c.out,
		http2.Setting{ID: http2.MaxConcurrentStreams, Value: maxStreams},
		http2.Setting{ID: http2.InitialWindowSize, Value: streamWindow},
		http2.Setting{ID: http2.MaxHeaderListSize, Value: maxFields})
	c.out = http2.AppendWindowUpdate(c.out, 0, connWindow-http2.DefaultWindow)
	c.schedule()
	c.timer = time.AfterFunc(min(cfg.Head, tickTime), c.tick)
	c.mu.Unlock()
	err := c.read()
	c.mu.Lock()
	c.end(err)
	c.timer.Stop()
	c.mu.Unlock()
	<-c.written
	_ = t.Close()
}

// read handles what comes until the connection ends.
func (c *Conn) read() error {
	for {
		if len(c.t.Bytes()) > 0 {
			n, err := c.handle(c.t.Bytes())
			if err != nil {
				return err
			}
			c.t.Skip(n)
		}
		if err := c.t.More(); err != nil {
			return err
		}
	}
}

// handle takes the frames of b, n bytes of it.
func (c *Conn) handle(b []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	c.heard = time.Now()
	c.asked = time.Time{}
	if !c.prefix {
		if len(b) < len(http2.ClientPrefix) && string(b) == http2.ClientPrefix[:len(b)] {
			return 0, nil
		}
		if len(b) < len(http2.ClientPrefix) || string(b[:len(http2.ClientPrefix)]) != http2.ClientPrefix {
			return 0, c.fail(&http2.Error{Code: http2.ProtocolError, Text: "bad preface"})
		}
		c.prefix, n = true, len(http2.ClientPrefix)
	}
	for {
		f, size, fault := c.parser.Next(b[n:])
		if size == 0 && fault == nil {
			c.await()
			return n, nil
		}
		n += size
		if fault == nil || fault.Stream != 0 {
			fault = c.frame(&f, fault)
		}
		if fault == nil {
			continue
		}
		if fault.Stream == 0 {
			return n, c.fail(fault)
		}
		c.reset(fault.Stream, fault.Code, fault)
		if err := c.useless(); err != nil {
			return n, c.fail(err)
		}
	}
}

// await notes since when a head is waited for.
func (c *Conn) await() {
	switch {
	case c.told && !c.parser.InBlock():
		c.block = time.Time{}
	case c.block.IsZero():
		c.block = c.heard
	}
}

// fail tells the client why the connection ends.
func (c *Conn) fail(e *http2.Error) error {
	if c.err == nil {
		c.out = http2.AppendGoAway(c.out, c.last, e.Code, e.Text)
		c.end(e)
	}
	return e
}

// end ends all streams. What waits is written before the connection is closed, if the client takes it soon.
func (c *Conn) end(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	c.written = make(chan struct{})
	for _, s := range c.streams {
		s.abort(err)
	}
	clear(c.streams)
	c.waiting = nil // their handlers were never started
	c.unblock()
	_ = c.t.SetWriteDeadline(time.Now().Add(closeTime))
	c.schedule()
}

const closeTime = 100 * time.Millisecond

// useless counts frames that move nothing, which cost us more than the client.
func (c *Conn) useless() *http2.Error {
	if c.idleFrames++; c.idleFrames < maxIdleFrames && len(c.out) < outHard {
		return nil
	}
	if now := time.Now(); len(c.out) < outHard && now.Sub(c.second) > time.Second {
		c.idleFrames, c.second = 0, now
		return nil
	}
	return &http2.Error{Code: http2.EnhanceYourCalm, Text: "too many frames that move nothing"}
}

// moved notes that the connection is of use.
func (c *Conn) moved() { c.idleFrames = 0 }
