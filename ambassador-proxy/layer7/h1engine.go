package layer7

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2/server"
)

// H1Config of an HTTP/1.1 engine, one a listener. A zero value takes the default.
type H1Config struct {
	Route    Route
	Observer Observer // may be nil
	// Other takes over a connection whose request asked for a Handover: everything that was read is read again from it. It
	// owns the connection. Nil: such requests are served here.
	Other func(net.Conn)
	// Streams answers a stream of HTTP/2 whose request asked for a Handover. Nil: HTTP/2 is refused.
	Streams func(*server.Stream)

	Limits      http1.Limits
	Body        int64         // bytes of a request body; none
	HeadTimeout time.Duration // from a request's first byte to the end of its head; 30 s
	ClientIdle  time.Duration // between requests; 1 h: the app's pool should give up first
	Forward     bool          // a forward proxy: CONNECT is handed over too
}

// H1 proxies HTTP/1.1 connections to HTTP/1.1 upstreams: one goroutine a connection, which drives the upstream's
// connection too.
type H1 struct {
	cfg       H1Config
	ctx       context.Context // ends with Close: picks and dials give up
	cancel    context.CancelFunc
	buffers   *buffers
	exchanges sync.Pool
	janitor   janitor
	http2     server.Config
	tasks     chan *server.Stream // to workers that wait
	idle      atomic.Int64        // of them
	running   sync.WaitGroup

	requests atomic.Int64 // in flight, their answers not begun or short
	streams  atomic.Int64 // in flight, their answers under way; tunnels too
	last     atomic.Int64 // when bytes were handled last, Unix nanoseconds, coarse
}

// NewH1 makes an engine. Close it.
func NewH1(cfg H1Config) *H1 {
	if cfg.HeadTimeout == 0 {
		cfg.HeadTimeout = 30 * time.Second
	}
	if cfg.ClientIdle == 0 {
		cfg.ClientIdle = time.Hour
	}
	e := &H1{cfg: cfg, buffers: newBuffers()}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.http2, e.tasks = e.http2Config(), make(chan *server.Stream)
	e.exchanges.New = func() any { return newExchange(e) }
	e.janitor.wake = make(chan struct{}, 1)
	e.janitor.tick()
	e.running.Go(func() { e.janitor.run(e.ctx) })
	return e
}

// Serve proxies one client connection until it ends, and closes it unless it was handed over. c must be a bare
// *net.TCPConn or *net.UnixConn to be fast; any net.Conn works. It returns when Config.Other does for one that is handed
// over, which Close neither ends nor waits for.
func (e *H1) Serve(c net.Conn) {
	s := &session{e: e, c: newLink(c)}
	s.serveFn = s.serve
	s.c.pool = e.buffers
	if !e.janitor.add(s.c, &e.running) {
		c.Close()
		return
	}
	s.run()
	e.janitor.remove(s.c)
	s.c.release()
	e.running.Done()
	if s.handed != nil {
		e.cfg.Other(s.handed)
		return
	}
	c.Close()
}

// Busy is how many connections are open and how many requests are in flight.
func (e *H1) Busy() (connections, requests int) {
	return e.janitor.count(), int(e.requests.Load() + e.streams.Load())
}

// streaming counts a request among the streams, or back.
func (e *H1) streaming(n int64) {
	e.streams.Add(n)
	e.requests.Add(-n)
}

// moved notes that bytes of a stream were handled.
func (e *H1) moved() { e.last.Store(e.janitor.clock.Load()) }

// LastActivity is when bytes of a request or an answer were moved; now when an answer is waited for. An answer or a tunnel
// on which nothing moves is no activity. Zero before the first.
func (e *H1) LastActivity() time.Time {
	if e.requests.Load() > 0 {
		return time.Now()
	}
	if t := e.last.Load(); t != 0 {
		return time.Unix(0, t)
	}
	return time.Time{}
}

// Close ends all connections at once and waits for their goroutines.
func (e *H1) Close() {
	e.cancel()
	e.janitor.close()
	e.running.Wait()
}
