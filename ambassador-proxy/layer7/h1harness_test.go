package layer7

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestMain(m *testing.M) {
	kittest.RegisterUpdate()
	goleak.VerifyTestMain(m)
}

// pool is an Upstream of one endpoint after another, with real sockets and the least that an engine needs.
type pool struct {
	settings  Settings
	endpoints []*address
	inject    string
	refuse    reason.Reason
	budget    int // retries that may be made

	mu      sync.Mutex
	next    int
	retries []reason.Reason
}

func (p *pool) Match(*Request) Decision { return Decision{Upstream: p} }
func (p *pool) Settings() *Settings     { return &p.settings }
func (p *pool) Leave()                  {}

func (p *pool) Admit(context.Context) error {
	if p.refuse != reason.OK {
		return &reason.Error{Reason: p.refuse}
	}
	return nil
}

func (p *pool) Pick(_ context.Context, k Pick) (Endpoint, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.endpoints {
		e := p.endpoints[p.next%len(p.endpoints)]
		p.next++
		if !tried(k.Tried, e) {
			return e, nil
		}
	}
	return p.endpoints[0], nil
}

func tried(all []Endpoint, e Endpoint) bool {
	for _, t := range all {
		if t == e {
			return true
		}
	}
	return false
}

func (p *pool) Retry(why reason.Reason, _ int) (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.retries) >= p.budget {
		return 0, false
	}
	p.retries = append(p.retries, why)
	return 0, true
}

func (p *pool) AppendFields(dst []byte, _ *Request) []byte { return append(dst, p.inject...) }

// address is an Endpoint that keeps every reusable connection.
type address struct {
	network, addr string
	tls           *tls.Config

	mu       sync.Mutex
	idle     []*Conn
	dials    int
	outcomes []Outcome
	released []bool
}

func (a *address) Address() string { return a.addr }

func (a *address) Acquire(ctx context.Context, _ time.Time, fresh bool) (*Conn, error) {
	a.mu.Lock()
	if n := len(a.idle); n > 0 && !fresh {
		c := a.idle[n-1]
		a.idle = a.idle[:n-1]
		a.mu.Unlock()
		c.Reused = true
		return c, nil
	}
	a.dials++
	a.mu.Unlock()
	d := net.Dialer{Timeout: 2 * time.Second}
	c, err := d.DialContext(ctx, a.network, a.addr)
	if err != nil {
		return nil, err
	}
	if a.tls != nil {
		t := tls.Client(BelowTLS(c), a.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		c = t
	}
	return NewConn(c), nil
}

func (a *address) Release(c *Conn, reusable bool, _ time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cap(a.released) > len(a.released) || !reusable {
		a.released = append(a.released, reusable)
	}
	if !reusable {
		c.Close()
		return
	}
	a.idle = append(a.idle, c)
}

func (a *address) Report(o Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cap(a.outcomes) > len(a.outcomes) || o.Reason != reason.OK {
		a.outcomes = append(a.outcomes, o)
	}
}

func (a *address) dialed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dials
}

func (a *address) last() (o Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.outcomes); n > 0 {
		o = a.outcomes[n-1]
	}
	return o
}

func (a *address) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.idle {
		c.Close()
	}
}

func at(network, addr string) *address {
	return &address{network: network, addr: addr, outcomes: make([]Outcome, 0, 64), released: make([]bool, 0, 64)}
}

func poolOf(endpoints ...*address) *pool {
	return &pool{settings: Settings{Name: "api"}, endpoints: endpoints, budget: 10}
}

// engine listens, and proxies to p.
func engine(t testing.TB, p *pool, change ...func(*H1Config)) (e *H1, addr string) {
	t.Helper()
	cfg := H1Config{Route: p}
	for _, c := range change {
		c(&cfg)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e = NewH1(cfg)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { e.Serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		e.Close()
		serving.Wait()
		for _, a := range p.endpoints {
			a.close()
		}
	})
	return e, ln.Addr().String()
}

// upstream serves connections with a script that is given each of them.
func upstream(t testing.TB, script func(c net.Conn, r *bufio.Reader)) *address {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				script(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return at("tcp", ln.Addr().String())
}

// server is an upstream of net/http.
func webserver(t testing.TB, h http.HandlerFunc) *address {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { s.Serve(ln); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
	return at("tcp", ln.Addr().String())
}

// dial opens a connection that fails the test's reads after five seconds rather than hanging.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(5 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

// talk sends raw bytes and returns all that comes until the connection ends.
func talk(t testing.TB, addr, raw string) string {
	t.Helper()
	c := dial(t, addr)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// head reads lines up to the blank one, as they are.
func head(r *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}
