// Package layer4 carries bytes of protocols that it does not know. Half-close is kept, and between bare TCP sockets the
// kernel moves the bytes (splice).
package layer4

import (
	"context"
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
	ended  func(up string, why reason.Reason, in, out int64)
	ctx    context.Context
	cancel context.CancelFunc

	sockets *listen.Sockets
	running sync.WaitGroup
}

// New makes a proxy to up. ended, if not nil, is told of each connection.
func New(up *upstream.Upstream, idle time.Duration, ended func(up string, why reason.Reason, in, out int64)) *Proxy {
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
	server, e, err := p.connect(up, client)
	if err != nil {
		abort(client)
		p.report(up, reason.OfDial(err), 0, 0)
		return
	}
	defer e.Load().End()
	if !p.sockets.Add(server) {
		return
	}
	defer p.sockets.Remove(server)
	in, out := p.join(client, server)
	p.report(up, reason.OK, in, out)
}

func (p *Proxy) report(up *upstream.Upstream, why reason.Reason, in, out int64) {
	if p.ended != nil {
		p.ended(up.Name(), why, in, out)
	}
}

// connect tries endpoints until one takes the connection: nothing was sent yet, so that is always safe.
func (p *Proxy) connect(up *upstream.Upstream, client net.Conn) (net.Conn, *upstream.Endpoint, error) {
	var tried []layer7.Endpoint
	for {
		e, err := up.Choose(p.ctx, layer7.Pick{Tried: tried})
		if err != nil {
			return nil, nil, err
		}
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
		if len(tried) > len(up.Endpoints()) || len(tried) > 3 {
			return nil, nil, err
		}
		if _, ok := up.Retry(why, len(tried)); !ok {
			return nil, nil, err
		}
	}
}

// abort closes with a reset.
func abort(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
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
