package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2/client"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// clients are the connections of one endpoint that the net/http engine uses: of HTTP/2, which requests share while there is room
// for streams, and of HTTP/1.1. Which of the two it is the URL says, or the upstream in the TLS handshake.
type clients struct {
	up     *Upstream
	idling *idling
	dial   func(context.Context) (net.Conn, error)
	tls    *tls.Config // nil: plain

	opening chan struct{} // holds one: one handshake at a time while streams may be shared
	alone   atomic.Bool   // nothing is shared, as far as we know

	singles singles
	mu      sync.Mutex
	shared  []*shared
	closed  atomic.Bool
}

// shared is a connection of HTTP/2.
type shared struct {
	*client.Conn
	until   time.Time   // when no new request goes there
	settled atomic.Bool // it has said how many streams it takes
}

func newClients(u *Upstream, i *idling, address, name string) *clients {
	c := &clients{up: u, idling: i, opening: make(chan struct{}, 1)}
	c.dial = func(ctx context.Context) (net.Conn, error) { return u.dial.plain(ctx, address) }
	switch t := u.target; {
	case t.TLS:
		c.tls = u.tls.Config(name)
		c.tls.NextProtos = []string{protoHTTP2, protoHTTP1}
		if t.H2 {
			c.tls.NextProtos = c.tls.NextProtos[:1]
		}
	default:
		c.alone.Store(!t.H2)
	}
	c.singles.start(i)
	return c
}

// Names of ALPN (RFC 7301, RFC 9113, 3.2).
const (
	protoHTTP2 = "h2"
	protoHTTP1 = "http/1.1"
)

func (c *clients) scheme() string {
	if c.tls != nil {
		return "https"
	}
	return "http"
}

// roundTrip sends req on a connection with room, or with fresh on a new one.
func (c *clients) roundTrip(req *http.Request, fresh bool) (*http.Response, layer7.Sent, error) {
	upgrades := req.Header.Get("Upgrade") != "" && !c.up.target.H2 // HTTP/1.1 alone can
	if !fresh && !c.up.target.H2 {
		if conn := c.singles.free(); conn != nil {
			return c.singles.roundTrip(conn, req, true)
		}
	}
	x := client.NewExchange(req, c.scheme())
	var stream *client.Stream
	var bare net.Conn
	reused, err := false, error(nil)
	if upgrades {
		bare, err = c.connect(req.Context(), true)
	} else {
		stream, bare, reused, err = c.open(req.Context(), &x.Request, fresh)
	}
	switch {
	case err != nil:
	case stream == nil:
		var conn *single
		if conn, err = c.singles.add(req.Context(), bare); err == nil {
			return c.singles.roundTrip(conn, req, false)
		}
	default:
		sent := layer7.Sent{Reused: reused}
		response, err := x.Response(stream)
		if e, ok := errors.AsType[*client.Error](err); ok {
			sent.Nothing = e.Safe
		}
		return response, sent, err
	}
	return nil, layer7.Sent{Nothing: true, Dial: true}, err
}

// open opens a stream. When the upstream wants HTTP/1.1 there is a connection for that instead.
func (c *clients) open(ctx context.Context, r *client.Request, fresh bool) (s *client.Stream, bare net.Conn, reused bool, err error) {
	done := func() {}
	if !fresh {
		if s = c.join(r); s != nil {
			return s, nil, true, nil
		}
		if !c.alone.Load() {
			select {
			case c.opening <- struct{}{}:
			case <-ctx.Done():
				return nil, nil, false, context.Cause(ctx)
			}
			if s = c.join(r); s != nil {
				<-c.opening
				return s, nil, true, nil
			}
			done = func() { <-c.opening }
		}
	}
	nc, err := c.connect(ctx, false)
	if err != nil || !c.speaksHTTP2(nc) {
		if err == nil {
			c.alone.Store(true)
		}
		done()
		return nil, nc, false, err
	}
	c.alone.Store(false)
	conn := &shared{Conn: client.New(nc, liveness), until: oldAt(time.Now())}
	if s = conn.Open(r); s == nil {
		err = endedAtOnce(conn.Err())
		conn.Close()
		done()
		return nil, nil, false, err
	}
	go conn.settle(done)
	c.mu.Lock()
	c.shared = append(c.shared, conn)
	c.mu.Unlock()
	if c.closed.Load() {
		conn.Retire()
	}
	return s, nil, false, nil
}

// endedAtOnce is of a connection that ended before its first stream.
func endedAtOnce(err error) error {
	if e, ok := errors.AsType[*http2.Error](err); ok { // HTTP/1.1, say
		return &reason.Error{Reason: reason.UpstreamBadResponse, Err: e}
	}
	return &reason.Error{Reason: reason.ConnectFailed, Err: errors.New("HTTP/2: the upstream closed the connection at once")}
}

// liveness of connections of HTTP/2.
var liveness = client.Config{Stuck: 10 * time.Second, Quiet: 10 * time.Second, Pong: 5 * time.Second}

// settleTime is how long others wait at most for the SETTINGS of a new connection: before them many streams may be too many.
const settleTime = 50 * time.Millisecond

// settle lets others share the connection when it is known how many may, and calls done then.
func (s *shared) settle(done func()) {
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case <-s.Settled():
	case <-timer.C:
	}
	s.settled.Store(true)
	done()
}

// connect makes a connection, TLS handshake done.
func (c *clients) connect(ctx context.Context, http1 bool) (net.Conn, error) {
	nc, err := c.dial(ctx)
	if err != nil || c.tls == nil {
		return nc, err
	}
	config := c.tls
	if http1 {
		config = config.Clone()
		config.NextProtos = []string{protoHTTP1}
	}
	secured, err := secure(ctx, nc, config, c.up.tlsTimeout())
	if err != nil {
		return nil, err
	}
	if c.up.target.H2 && secured.ConnectionState().NegotiatedProtocol != protoHTTP2 {
		secured.Close()
		return nil, &reason.Error{Reason: reason.TLSHandshakeFailed, Err: errors.New("TLS handshake: the server does not choose HTTP/2 (ALPN)")}
	}
	return secured, nil
}

func (c *clients) speaksHTTP2(nc net.Conn) bool {
	if t, ok := nc.(*tls.Conn); ok {
		return t.ConnectionState().NegotiatedProtocol == protoHTTP2
	}
	return c.up.target.H2
}

// join opens a stream on a connection that has room for it; nil: there is none. The newest is asked first, so that the others
// get idle.
func (c *clients) join(r *client.Request) *client.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.shared) == 0 {
		return nil
	}
	now := time.Now()
	for _, conn := range slices.Backward(c.shared) {
		if conn.settled.Load() && now.Before(conn.until) {
			if s := conn.Open(r); s != nil {
				return s
			}
		}
	}
	return nil
}

// sweep closes connections that are old or idle for too long, and forgets those that have ended.
func (c *clients) sweep(now time.Time) {
	c.mu.Lock()
	c.shared = slices.DeleteFunc(c.shared, func(conn *shared) bool {
		if now.After(conn.until) || conn.Idle(now) >= c.idling.keep {
			conn.Retire()
		}
		return conn.Err() != nil
	})
	c.mu.Unlock()
	c.singles.sweep(now)
}

// close ends what is idle now, and the rest when it gets idle.
func (c *clients) close() {
	c.closed.Store(true)
	c.mu.Lock()
	for _, conn := range c.shared {
		conn.Retire()
	}
	c.mu.Unlock()
	c.singles.close()
}

// kill ends all connections with what is on them.
func (c *clients) kill() {
	c.close()
	c.mu.Lock()
	all := c.shared
	c.shared = nil
	c.mu.Unlock()
	var ending sync.WaitGroup
	for _, conn := range all {
		ending.Go(conn.Close)
	}
	ending.Wait()
	c.singles.kill()
}

// counts are the open connections and those of them that are idle.
func (c *clients) counts() (open, idle int) {
	now := time.Now()
	open, idle = c.singles.counts()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.shared {
		if conn.Err() != nil {
			continue
		}
		if open++; conn.Idle(now) > 0 {
			idle++
		}
	}
	return open, idle
}
