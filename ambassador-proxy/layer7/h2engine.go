package layer7

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// StdConfig of a net/http engine, one a listener.
type StdConfig struct {
	Route       Route
	Observer    Observer // may be nil
	Body        int64    // bytes of a request body; 0: no limit
	HeadTimeout time.Duration
	ClientIdle  time.Duration
	Log         *slog.Logger // may be nil
}

// Std proxies what the other engine does not: requests over HTTP/1.1 to upstreams that speak HTTP/2, and those to be mirrored, hedged or
// disturbed. Its endpoints must be Senders.
type Std struct {
	cfg      StdConfig
	server   *http.Server
	conns    *handed
	done     chan struct{}
	requests atomic.Int64
	streams  atomic.Int64 // in flight, their answers under way; tunnels too
	open     atomic.Int64
	last     atomic.Int64 // when bytes were moved last, Unix nanoseconds
	mirrors  atomic.Int64 // copies in flight
	copies   sync.WaitGroup
	buffers  sync.Pool       // of *[copyBytes]byte: one a request would have the collector run all the time
	life     context.Context // of the copies: they outlive the request that they copy
	end      context.CancelFunc
}

// NewStd starts an engine. Close it.
func NewStd(cfg StdConfig) *Std {
	s := &Std{cfg: cfg, conns: &handed{c: make(chan net.Conn), closed: make(chan struct{})}, done: make(chan struct{})}
	s.life, s.end = context.WithCancel(context.Background())
	s.buffers.New = func() any { return new([copyBytes]byte) }
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	s.server = &http.Server{
		Handler: s, Protocols: protocols, MaxHeaderBytes: 64 << 10, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: or(cfg.HeadTimeout, 30*time.Second), IdleTimeout: or(cfg.ClientIdle, time.Hour),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.open.Add(1)
			case http.StateClosed, http.StateHijacked:
				s.open.Add(-1)
			}
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, guardKey{}, c.(*owned).guard)
		},
		ErrorLog: errorLog(cfg.Log),
	}
	go func() { defer close(s.done); _ = s.server.Serve(s.conns) }()
	return s
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Serve serves a connection until it is closed.
func (s *Std) Serve(c net.Conn) {
	o := &owned{guard: newGuard(c, or(s.cfg.HeadTimeout, 30*time.Second)), closed: make(chan struct{})}
	select {
	case s.conns.c <- o:
		<-o.closed
	case <-s.conns.closed:
		c.Close()
	}
}

// owned tells when it is closed.
type owned struct {
	*guard
	once   sync.Once
	closed chan struct{}
}

func (o *owned) Close() error {
	defer o.once.Do(func() { close(o.closed) })
	return o.guard.Close()
}

// CloseWrite ends our side of a tunnel.
func (o *owned) CloseWrite() error {
	c, _ := Unread(o.Conn)
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Busy is how many connections are open and how many requests are in flight.
func (s *Std) Busy() (connections, requests int) {
	return int(s.open.Load()), int(s.requests.Load() + s.streams.Load())
}

// streaming counts a request among the streams, or back.
func (s *Std) streaming(n int64) {
	s.streams.Add(n)
	s.requests.Add(-n)
}

func (s *Std) moved() { s.last.Store(time.Now().UnixNano()) }

// noting is a writer whose bytes are activity.
type noting struct {
	io.Writer
	s *Std
}

func (n *noting) Write(p []byte) (int, error) {
	n.s.moved()
	return n.Writer.Write(p)
}

// LastActivity is when bytes of a request or an answer were moved; now when an answer is waited for. Zero before the first.
func (s *Std) LastActivity() time.Time {
	if s.requests.Load() > 0 {
		return time.Now()
	}
	if t := s.last.Load(); t != 0 {
		return time.Unix(0, t)
	}
	return time.Time{}
}

// Close ends all connections at once.
func (s *Std) Close() {
	s.end()
	_ = s.server.Close()
	<-s.done
	s.copies.Wait()
}

// handed is a listener of connections that somebody else has accepted.
type handed struct {
	c      chan net.Conn
	closed chan struct{}
	once   atomic.Bool
}

func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.c:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handed) Close() error {
	if h.once.CompareAndSwap(false, true) {
		close(h.closed)
	}
	return nil
}

func (h *handed) Addr() net.Addr { return &net.TCPAddr{} }
