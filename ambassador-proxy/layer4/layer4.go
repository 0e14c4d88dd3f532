// Package layer4 carries bytes of protocols that it does not know. Half-close is kept, and between bare TCP sockets the
// kernel moves the bytes (splice).
package layer4

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/listen"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// Proxy carries the connections of one listener. Close it.
type Proxy struct {
	to     atomic.Pointer[upstream.Upstream]
	idle   time.Duration // 0: none
	ended  func(*layer7.Record)
	ctx    context.Context
	cancel context.CancelFunc

	sockets *listen.Sockets
	running sync.WaitGroup
}

// New makes a proxy to up. ended, if not nil, is told of each connection.
func New(up *upstream.Upstream, idle time.Duration, ended func(*layer7.Record)) *Proxy {
	p := &Proxy{idle: idle, ended: ended, sockets: listen.NewSockets()}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.to.Store(up)
	return p
}

// Set sends new connections elsewhere.
func (p *Proxy) Set(up *upstream.Upstream) { p.to.Store(up) }

// Serve carries one client connection and closes it.
func (p *Proxy) Serve(client net.Conn) {
	p.running.Add(1)
	defer p.running.Done()
	if !p.sockets.Add(client) {
		return
	}
	defer p.sockets.Remove(client)
	up := p.to.Load()
	r := layer7.Record{Upstream: up, Start: time.Now()}
	server, e, err := p.connect(up, client, &r)
	if err != nil {
		abort(client)
		r.Reason, r.Detail = reason.OfDial(err), err.Error()
		p.report(&r)
		return
	}
	defer e.Load().End()
	if !p.sockets.Add(server) {
		return
	}
	defer p.sockets.Remove(server)
	r.BytesIn, r.BytesOut, r.Reason = Join(client, server, p.idle)
	p.report(&r)
}

func (p *Proxy) report(r *layer7.Record) {
	if p.ctx.Err() != nil && r.Reason != reason.OK { // whatever that looked like
		r.Reason, r.Detail = reason.Stopped, ""
	}
	if r.Duration = time.Since(r.Start); p.ended != nil {
		p.ended(r)
	}
}

// connect tries endpoints until one takes the connection: nothing was sent yet, so that is always safe.
func (p *Proxy) connect(up *upstream.Upstream, client net.Conn, r *layer7.Record) (net.Conn, *upstream.Endpoint, error) {
	var tried []layer7.Endpoint
	for {
		e, err := up.Choose(p.ctx, layer7.Pick{Tried: tried})
		if err != nil {
			return nil, nil, err
		}
		r.Endpoint = e
		r.Tries++
		begin := time.Now()
		c, err := e.Dial(p.ctx)
		if err == nil {
			err = announce(c, client, up.Config().ProxyProtocol)
		}
		if err == nil {
			e.Load().Begin() // Report ends the pick; the connection goes on
			e.Report(layer7.Outcome{Status: 200, Latency: time.Since(begin)})
			return c, e, nil
		}
		why := reason.OfDial(err)
		e.Report(layer7.Outcome{Reason: why, Latency: time.Since(begin)})
		tried = append(tried, e)
		if most := up.Settings().Tries; len(tried) > len(up.Endpoints()) || len(tried) > 3 || most > 0 && len(tried) >= most {
			return nil, nil, err
		}
		if _, ok := up.Retry(why, len(tried)); !ok {
			return nil, nil, err
		}
	}
}

// abort closes with a reset. TLS must not say that it is a clean end.
func abort(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}

// Busy is the number of open sockets of both sides.
func (p *Proxy) Busy() int { return p.sockets.Len() }

// LastActivity is when bytes last moved or a connection was made or ended.
func (p *Proxy) LastActivity() time.Time { return p.sockets.LastActivity() }

// Close ends all connections at once and waits for their goroutines.
func (p *Proxy) Close() {
	p.cancel()
	p.sockets.Close()
	p.running.Wait()
}
