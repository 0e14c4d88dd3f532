// Package layer4 carries bytes of protocols that it does not know. Half-close is kept, and between bare TCP sockets the
// kernel moves the bytes (splice).
package layer4

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

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
	seen    uint64 // bytes received by all conns when LastActivity was called before
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
	p.last.Store(time.Now().UnixNano())
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

// LastActivity is when a connection was made or ended, or when it was last found that bytes had moved since the call before:
// an idle connection is no activity. Zero before the first.
func (p *Proxy) LastActivity() time.Time {
	p.mu.Lock()
	var sum uint64
	for c := range p.conns {
		sum += received(c)
	}
	moved := sum != p.seen
	p.seen = sum
	p.mu.Unlock()
	if moved {
		p.last.Store(time.Now().UnixNano())
	}
	if t := p.last.Load(); t != 0 {
		return time.Unix(0, t)
	}
	return time.Time{}
}

// received asks the kernel, who counts anyway: nothing is counted on the way of the bytes.
func received(c net.Conn) uint64 {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0
	}
	var n uint64
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = info.Bytes_received
		}
	})
	return n
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
