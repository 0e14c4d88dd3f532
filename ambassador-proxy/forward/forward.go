// Package forward is an explicit egress proxy: CONNECT and absolute-form requests to destinations that are allowed, and to
// no others. A name is resolved, checked and dialled as one step, so that what was checked is what is dialled. Plain requests
// go through the HTTP/1.1 engine of layer7, each to the upstream that it names; CONNECT leaves HTTP and becomes a tunnel.
package forward

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/listen"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// Settings of a Proxy. A zero value takes the default of the engine.
type Settings struct {
	Observer    layer7.Observer // of plain requests and of tunnels; may be nil
	Body        int64
	HeadTimeout time.Duration
	ClientIdle  time.Duration
}

// Proxy serves the connections of one listener. Close it.
type Proxy struct {
	allow   atomic.Pointer[allowed]
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	seen    layer7.Observer
	h1      *layer7.H1
	ctx     context.Context
	cancel  context.CancelFunc

	mu    sync.Mutex
	known map[string]*destination

	sockets *listen.Sockets // of tunnels
	running sync.WaitGroup
}

// New makes a proxy that reaches what allow names.
func New(allow []string, s Settings) *Proxy {
	p := &Proxy{seen: s.Observer, sockets: listen.NewSockets(), known: map[string]*destination{}}
	p.resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.h1 = layer7.NewH1(layer7.H1Config{Route: p, Observer: s.Observer, Other: p.leave, Forward: true,
		Body: s.Body, HeadTimeout: s.HeadTimeout, ClientIdle: s.ClientIdle})
	p.Set(allow)
	p.running.Go(p.sweep)
	return p
}

// Set replaces the allowed destinations for new requests and new tunnels. They have been validated.
func (p *Proxy) Set(allow []string) {
	all := parse(allow)
	p.allow.Store(&all)
	p.mu.Lock()
	before := p.known
	p.known = map[string]*destination{}
	p.mu.Unlock()
	for _, d := range before { // a connection to what is forbidden now must not be used again
		d.pool.Close()
	}
}

// Serve handles one connection of a client, and closes it.
func (p *Proxy) Serve(client net.Conn) { p.h1.Serve(client) }

const maxKnown = 1024 // destinations whose connections are kept

// Match is layer7.Route: the upstream of a plain request is what its absolute-form target names (RFC 9112, 3.2.2).
func (p *Proxy) Match(r *layer7.Request) layer7.Decision {
	if !bytes.EqualFold(r.Scheme, []byte("http")) {
		return layer7.Decision{Upstream: refused(&reason.Error{Reason: reason.ClientBadRequest, Err: errors.New("a proxy wants CONNECT host:port or an absolute http:// URL")})}
	}
	name := string(r.Host)
	if _, _, err := net.SplitHostPort(name); err != nil {
		name += ":80"
	}
	if _, _, err := split(name); err != nil {
		return layer7.Decision{Upstream: refused(err)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.known[name]
	if d == nil {
		if d = newDestination(name, p.dial); len(p.known) >= maxKnown {
			d.pool.Close() // its connections are used once
		} else {
			p.known[name] = d
		}
	}
	return layer7.Decision{Upstream: d}
}

// sweep closes connections whose time is up, and forgets destinations without any.
func (p *Proxy) sweep() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case now := <-tick.C:
			p.mu.Lock()
			for name, d := range p.known {
				if d.pool.Sweep(now); d.pool.Open() == 0 {
					d.pool.Close()
					delete(p.known, name)
				}
			}
			p.mu.Unlock()
		}
	}
}

// Look resolves a destination and tells which of its addresses may be dialled; the error says why there is none.
func (p *Proxy) Look(ctx context.Context, destination string) ([]netip.AddrPort, error) {
	host, port, err := split(destination)
	if err != nil {
		return nil, err
	}
	allow := *p.allow.Load()
	var addresses []netip.Addr
	if ip, err := netip.ParseAddr(host); err == nil {
		addresses = append(addresses, ip)
	} else if allow.mayResolve(host, port) { // a name that is not allowed is not even looked up
		if addresses, err = p.resolve(ctx, host); err != nil {
			return nil, err
		}
	}
	return allow.of(addresses, host, port)
}

// Busy is how many connections are open, of tunnels those of both sides, and how many requests and tunnels are under way.
func (p *Proxy) Busy() (connections, requests int) {
	connections, requests = p.h1.Busy()
	n := p.sockets.Len()
	return connections + n, requests + n/2
}

// LastActivity is when bytes last moved or a connection was made or ended.
func (p *Proxy) LastActivity() time.Time {
	if a, b := p.h1.LastActivity(), p.sockets.LastActivity(); a.After(b) {
		return a
	} else {
		return b
	}
}

// Close ends all connections at once and waits for their goroutines.
func (p *Proxy) Close() {
	p.cancel()
	p.sockets.Close()
	p.h1.Close()
	p.running.Wait()
	p.Set(nil)
}
