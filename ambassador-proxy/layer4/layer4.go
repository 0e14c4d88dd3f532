// Package layer4 carries bytes of protocols that it does not know. Half-close is kept, and between bare TCP sockets the
// kernel moves the bytes (splice).
package layer4

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
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

	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	running sync.WaitGroup
	last    atomic.Int64
}

// New makes a proxy to up. ended, if not nil, is told of each connection.
func New(up *upstream.Upstream, idle time.Duration, ended func(up string, why reason.Reason, in, out int64)) *Proxy {
	p := &Proxy{idle: idle, ended: ended, conns: map[net.Conn]struct{}{}}
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
	if !p.track(client) {
		client.Close()
		return
	}
	defer p.untrack(client)
	up := p.to.Load()
	server, e, err := p.connect(up, client)
	if err != nil {
		abort(client)
		p.report(up, reason.OfDial(err), 0, 0)
		return
	}
	defer e.Load().End()
	if !p.track(server) {
		server.Close()
		return
	}
	defer p.untrack(server)
	in, out := p.join(client, server)
	p.report(up, reason.OK, in, out)
}

func (p *Proxy) report(up *upstream.Upstream, why reason.Reason, in, out int64) {
	p.last.Store(time.Now().UnixNano())
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

// join copies both directions until both have ended.
func (p *Proxy) join(client, server net.Conn) (in, out int64) {
	var idle *idleTimer
	if p.idle > 0 {
		idle = newIdleTimer(p.idle, func() { client.Close(); server.Close() })
		defer idle.stop()
	}
	var up sync.WaitGroup
	up.Go(func() { in = carry(server, client, idle) })
	out = carry(client, server, idle)
	up.Wait()
	return in, out
}

// carry copies one direction and passes its end on.
func carry(to, from net.Conn, idle *idleTimer) int64 {
	var n int64
	var err error
	if idle == nil {
		n, err = io.Copy(to, from)
	} else {
		n, err = io.Copy(to, &watched{from, idle})
	}
	if err != nil { // a reset, or the other side is gone: the peer must not take it for a clean end
		abort(to)
		from.Close()
		return n
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	} else {
		to.Close()
	}
	return n
}

// abort closes with a reset.
func abort(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}

func (p *Proxy) track(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) untrack(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// Busy is the number of open sockets of both sides.
func (p *Proxy) Busy() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// LastActivity is when a connection ended; now while one is open. Zero before the first.
func (p *Proxy) LastActivity() time.Time {
	if p.Busy() > 0 {
		return time.Now()
	}
	if t := p.last.Load(); t != 0 {
		return time.Unix(0, t)
	}
	return time.Time{}
}

// Close ends all connections at once and waits for their goroutines.
func (p *Proxy) Close() {
	p.cancel()
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.running.Wait()
}

type idleTimer struct {
	d time.Duration
	t *time.Timer
}

func newIdleTimer(d time.Duration, expired func()) *idleTimer {
	return &idleTimer{d, time.AfterFunc(d, expired)}
}
func (t *idleTimer) touch() { t.t.Reset(t.d) }
func (t *idleTimer) stop()  { t.t.Stop() }

type watched struct {
	net.Conn
	idle *idleTimer
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.idle.touch()
	return n, err
}

// announce sends the PROXY protocol header (haproxy.org, proxy-protocol.txt).
func announce(server, client net.Conn, version string) error {
	if version == "" {
		return nil
	}
	_, err := server.Write(header(client.RemoteAddr(), client.LocalAddr(), version))
	return err
}

func header(from, to net.Addr, version string) []byte {
	a, okA := from.(*net.TCPAddr)
	b, okB := to.(*net.TCPAddr)
	known := okA && okB
	var src, dst netip.AddrPort
	if known {
		src, dst = a.AddrPort(), b.AddrPort()
		src = netip.AddrPortFrom(src.Addr().Unmap(), src.Port())
		dst = netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port())
	}
	if version == "v1" {
		if !known {
			return []byte("PROXY UNKNOWN\r\n")
		}
		family := "TCP4"
		if src.Addr().Is6() {
			family = "TCP6"
		}
		return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, src.Addr(), dst.Addr(), src.Port(), dst.Port())
	}
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	if !known {
		return []byte(signature + "\x20\x00\x00\x00") // LOCAL
	}
	family := byte(0x11)
	if src.Addr().Is6() {
		family = 0x21
	}
	body := append(src.Addr().AsSlice(), dst.Addr().AsSlice()...)
	body = append(body, byte(src.Port()>>8), byte(src.Port()), byte(dst.Port()>>8), byte(dst.Port()))
	out := append([]byte(strings.Clone(signature)), 0x21, family, byte(len(body)>>8), byte(len(body)))
	return append(out, body...)
}
