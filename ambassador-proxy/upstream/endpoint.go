package upstream

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/balance"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/discover"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2/client"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// Endpoint is one address of an upstream, with its connections, load and health.
type Endpoint struct {
	up      *Upstream
	addr    discover.Address
	load    *balance.Load
	record  *health.Record
	idling  *idling
	pool    *Pool
	clients *clients
	refused atomic.Bool // the last request found no connection
}

func (u *Upstream) newEndpoint(a discover.Address) *Endpoint {
	i := &idling{keep: or(u.config.KeepAlive.D(), defaultKeepAlive)}
	return &Endpoint{
		up: u, addr: a, load: balance.NewLoad(time.Now()), record: u.env.Health.Of(u.name+" "+u.config.URL, a.Addr),
		idling: i, pool: newPool(i), clients: newClients(u, i, a.Addr, u.serverName(a)),
	}
}

func (e *Endpoint) Load() *balance.Load { return e.load }
func (e *Endpoint) Weight() int         { return max(e.addr.Weight, 1) }
func (e *Endpoint) Name() string        { return e.addr.Addr }
func (e *Endpoint) Address() string     { return e.addr.Addr }

// Host is the name that was resolved to the address.
func (e *Endpoint) Host() string { return e.addr.Name }

// State is the endpoint's health.
func (e *Endpoint) State() health.State { s, _ := e.record.State(); return s }

// Recent is how the tries of the last ten seconds ended.
func (e *Endpoint) Recent(now time.Time) (good, bad int) { return e.record.Recent(now) }

// Acquire is an idle HTTP/1.1 connection, or a new one.
func (e *Endpoint) Acquire(ctx context.Context, now time.Time, fresh bool) (*layer7.Conn, error) {
	if !fresh {
		if c := e.pool.Get(now); c != nil {
			c.Reused = true
			return c, nil
		}
	}
	raw, err := e.Dial(ctx, "http/1.1")
	if err != nil {
		return nil, err
	}
	c := layer7.NewConn(raw)
	e.pool.Add(c, time.Now())
	return c, nil
}

// Stream opens a stream of HTTP/2, or gives a connection of HTTP/1.1 when that is what the upstream speaks; see layer7.Streamer.
func (e *Endpoint) Stream(ctx context.Context, r *client.Request, now time.Time, fresh bool) (s *client.Stream, c *layer7.Conn, reused bool, err error) {
	if t := e.up.target; !t.H2 {
		if !t.TLS {
			c, err = e.Acquire(ctx, now, fresh)
			return nil, c, c != nil && c.Reused, err
		}
		if !fresh {
			if c = e.pool.Get(now); c != nil {
				c.Reused = true
				return nil, c, true, nil
			}
		}
	}
	s, bare, reused, err := e.clients.open(ctx, r, fresh)
	if bare != nil {
		c = layer7.NewConn(bare)
		e.pool.Add(c, time.Now())
	}
	return s, c, reused, err
}

// Dial makes a bare connection, TLS handshake done when the upstream's URL says so. protocols are for ALPN.
func (e *Endpoint) Dial(ctx context.Context, protocols ...string) (net.Conn, error) {
	c, err := e.up.dial.plain(ctx, e.addr.Addr)
	if err != nil || !e.up.target.TLS {
		return c, err
	}
	config := e.up.tls.Config(e.up.serverName(e.addr))
	config.NextProtos = protocols
	secured, err := secure(ctx, c, config, e.up.tlsTimeout())
	if err != nil {
		return nil, err
	}
	return secured, nil
}

// Release keeps the connection or closes it.
func (e *Endpoint) Release(c *layer7.Conn, reusable bool, keepAlive time.Duration) {
	e.pool.Put(c, reusable, keepAlive, c.Since)
}

// RoundTrip sends a request by net/http; see layer7.Sender.
func (e *Endpoint) RoundTrip(r *http.Request, fresh bool) (*http.Response, layer7.Sent, error) {
	return e.clients.roundTrip(r, fresh)
}

// Report ends the request that Pick counted.
func (e *Endpoint) Report(o layer7.Outcome) {
	e.load.End()
	failed := o.Reason != reason.OK || o.Status == 502 || o.Status == 503 || o.Status == 504
	result := o.Reason
	if failed && result == reason.OK {
		result = reason.UpstreamUnavailable
	}
	e.up.stats.attempt(result)
	if o.StaleReuse { // that was a try too, and the one that is told of the next
		e.idling.died()
		e.up.stats.attempt(reason.UpstreamReset)
		e.up.stats.retry(reason.UpstreamReset)
	}
	if o.Reason.Client() || o.Reason == reason.FaultInjected {
		e.record.Unprobe()
		return
	}
	now := o.At
	if now.IsZero() {
		now = time.Now()
	}
	overloaded := o.RetryAfter && (o.Status == 429 || o.Status == 503)
	e.load.Observe(o.Latency, overloaded || o.Reason != reason.OK, now)
	if o.Status > 0 && !failed {
		e.up.latency.observe(o.Latency)
	}
	refused := notConnected(o.Reason)
	if refused {
		e.up.watcher.Early()
	}
	if refused != e.refused.Load() {
		e.refused.Store(refused)
	}
	before, _ := e.record.State()
	why := e.record.Result(!failed, now)
	switch {
	case why != "":
		e.up.eject(e, why, now)
	case before == health.Probing && !failed:
		e.up.rebuild()
	}
}

func notConnected(r reason.Reason) bool {
	return r == reason.ConnectRefused || r == reason.ConnectTimeout || r == reason.ConnectFailed
}

func (e *Endpoint) close() {
	e.pool.Close()
	e.clients.close()
}
