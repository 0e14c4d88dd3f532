package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
)

// clients are the connections of one endpoint that net/http drives: HTTP/2, and HTTP/1.1 for clients of other versions.
// Requests share a connection while it has room for streams; then another one is opened.
type clients struct {
	transport *http.Transport
	scheme    string
	address   string // what the Transport believes to dial
	idling    *idling

	opening sync.Mutex // one handshake at a time while streams may be shared
	mu      sync.Mutex
	all     []*client
	closed  atomic.Bool
}

type client struct {
	*http.ClientConn
	wire  *counted
	until time.Time    // when no new request goes there
	used  atomic.Int64 // Unix nanoseconds
	keep  atomic.Int64 // nanoseconds since used
	multi bool         // HTTP/2

	settled atomic.Bool // it has said how many streams it takes
}

type wireKey struct{}

func newClients(u *Upstream, i *idling, address, name string) *clients {
	c := &clients{scheme: "http", address: "endpoint:80", idling: i}
	c.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := u.dial.plain(ctx, address)
			if err != nil {
				return nil, err
			}
			w := newCounted(conn)
			if slot, ok := ctx.Value(wireKey{}).(**counted); ok {
				*slot = w
			}
			return w, nil
		},
		DisableCompression:     true,
		TLSHandshakeTimeout:    u.tlsTimeout(),
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              &http.Protocols{},
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second, WriteByteTimeout: stuckTime,
			MaxReceiveBufferPerStream: 1 << 20, MaxReceiveBufferPerConnection: 4 << 20,
		},
	}
	p := c.transport.Protocols
	switch t := u.target; {
	case t.TLS:
		c.scheme, c.address = "https", "endpoint:443"
		c.transport.TLSClientConfig = u.tls.Config(name)
		p.SetHTTP2(true)
		p.SetHTTP1(!t.H2)
	case t.H2:
		p.SetUnencryptedHTTP2(true)
	default:
		p.SetHTTP1(true)
	}
	return c
}

// roundTrip sends req on a connection with room, or with fresh on a new one.
func (c *clients) roundTrip(req *http.Request, fresh bool) (*http.Response, layer7.Sent, error) {
	conn, reused, err := c.reserve(req.Context(), fresh)
	if err != nil {
		return nil, layer7.Sent{Nothing: true, Dial: true}, err
	}
	before := conn.wire.written.Load()
	req.URL.Scheme = c.scheme
	response, err := conn.RoundTrip(req)
	conn.used.Store(time.Now().UnixNano())
	sent := layer7.Sent{Reused: reused}
	if err == nil && !conn.multi {
		var keep time.Duration
		if field := response.Header.Get("Keep-Alive"); field != "" {
			keep = announced(field)
		}
		conn.keep.Store(int64(c.idling.after(keep)))
	}
	if err != nil {
		sent.Nothing = refused(err) || !conn.multi && conn.wire.written.Load() == before
	}
	return response, sent, err
}

func (c *clients) reserve(ctx context.Context, fresh bool) (_ *client, reused bool, err error) {
	if !fresh {
		if conn := c.free(); conn != nil {
			return conn, true, nil
		}
		if !c.single() {
			c.opening.Lock()
			if conn := c.free(); conn != nil {
				c.opening.Unlock()
				return conn, true, nil
			}
			conn, err := c.open(ctx, c.opening.Unlock)
			return conn, false, err
		}
	}
	conn, err := c.open(ctx, func() {})
	return conn, false, err
}

// single tells that connections carry one request at a time, so that waiting for another's handshake is of no use.
func (c *clients) single() bool {
	return c.transport.Protocols.HTTP1() && !c.transport.Protocols.HTTP2()
}

func (c *clients) free() *client {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.all) - 1; i >= 0; i-- {
		conn := c.all[i]
		if conn.settled.Load() && conn.usable(now) && (conn.multi || !conn.wire.gone()) && conn.Reserve() == nil {
			return conn
		}
	}
	return nil
}

func (c *client) usable(now time.Time) bool {
	return c.Err() == nil && now.Before(c.until) && (c.multi || !c.rested(now))
}

// rested tells whether the connection has been idle for as long as it is kept.
func (c *client) rested(now time.Time) bool { return now.UnixNano()-c.used.Load() >= c.keep.Load() }

// stuckTime is how long an upstream may take no byte of what is written to it.
const stuckTime = 10 * time.Second

// settleTime is how long others wait at most for the SETTINGS of a new connection: net/http believes in 100 streams before.
const settleTime = 50 * time.Millisecond

// open makes a connection with room for one request. settled is called when others may share it, or when there is none.
func (c *clients) open(ctx context.Context, settled func()) (*client, error) {
	conn := &client{until: oldAt(time.Now())}
	cc, err := c.transport.NewClientConn(context.WithValue(ctx, wireKey{}, &conn.wire), c.scheme, c.address)
	if err != nil {
		settled()
		if strings.Contains(err.Error(), "TLS handshake timeout") { // it has no type
			err = lateHandshake(c.transport.TLSHandshakeTimeout)
		}
		return nil, err
	}
	conn.ClientConn = cc
	conn.multi = cc.Available() > 1
	conn.keep.Store(int64(c.idling.keep))
	conn.used.Store(time.Now().UnixNano())
	if err := cc.Reserve(); err != nil {
		cc.Close()
		settled()
		return nil, err
	}
	share := sync.OnceFunc(func() {
		conn.settled.Store(true)
		settled()
	})
	if conn.multi {
		conn.wire.gather.Store(layer7.NewGather(conn.wire.Conn, stuckTime))
		timer := time.AfterFunc(settleTime, share)
		conn.wire.heardOnce(c.scheme == "https", func() {
			timer.Stop()
			share()
		})
	} else {
		conn.wire.quiet.Store(true)
		share()
	}
	c.mu.Lock()
	c.all = append(c.all, conn)
	c.mu.Unlock()
	if c.closed.Load() {
		conn.closeIdle()
	}
	return conn, nil
}

// closeIdle closes a connection when its last request has ended. Its endpoint has gone: a hook for all others would cost each
// request some. It is called with locks held, of ours and of net/http.
func (c *client) closeIdle() {
	c.SetStateHook(func(*http.ClientConn) {
		if c.InFlight() == 0 {
			go c.Close()
		}
	})
}

// sweep closes connections that are dead, old or idle for too long; all that are idle once the endpoint is gone.
func (c *clients) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.all[:0]
	for _, conn := range c.all {
		idle := conn.InFlight() == 0
		expired := now.After(conn.until) || conn.rested(now)
		if conn.Err() != nil || idle && (expired || c.closed.Load()) {
			conn.Close()
			continue
		}
		kept = append(kept, conn)
	}
	clear(c.all[len(kept):])
	c.all = kept
}

func (c *clients) close() {
	c.closed.Store(true)
	c.mu.Lock()
	for _, conn := range c.all {
		conn.closeIdle()
	}
	c.mu.Unlock()
	c.sweep(time.Now())
}

// kill ends all connections with what is on them.
func (c *clients) kill() {
	c.closed.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.all {
		conn.Close()
	}
	c.all = nil
}

func (c *clients) count() (open int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.all {
		if conn.Err() == nil {
			open++
		}
	}
	return open
}

// streamError has the fields of net/http's unexported type, which fills it by errors.As (golang/go#53896).
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "stream error" }

const refusedStream = 0x7 // RFC 9113, 7

// refused tells whether the upstream is known not to have looked at the request: REFUSED_STREAM, or GOAWAY with a lower
// last stream.
func refused(err error) bool {
	var s streamError
	if errors.As(err, &s) {
		return s.Code == refusedStream
	}
	text := err.Error()
	return strings.Contains(text, "graceful shutdown GOAWAY") || strings.Contains(text, "client conn not usable")
}
