// Package shard is the sharding ambassador: the app speaks to one Redis or memcached on localhost, and each key's commands
// go to the server that holds it. Keys are placed as twemproxy places them (ketama), commands of many keys are split and
// their answers joined, and answers keep the order of the commands.
package shard

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

const (
	defaultCommand = 64 << 20         // bytes of the largest command
	defaultAnswer  = 60 * time.Second // wait for the next bytes of an answer
)

// Metrics of all sharding listeners.
type Metrics struct{ requests *prometheus.CounterVec }

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ambassador_shard_requests_total",
		Help: "Requests sent to each shard of a Redis or memcached upstream; a command of many keys counts once a shard."},
		[]string{"upstream", "endpoint"})}
	r.MustRegister(m.requests)
	return m
}

// Config of a Proxy.
type Config struct {
	Upstream *upstream.Upstream
	Metrics  *Metrics
	Secrets  *conf.Secrets
	Command  int // bytes of the largest command; 0: 64 MiB
}

// view is what new commands go by; a reload swaps it.
type view struct {
	m        *Map
	user     string
	password conf.Secret
	secrets  *conf.Secrets
}

func (v *view) credentials() (user, password string, err error) {
	if v.password == "" {
		return "", "", nil
	}
	password, err = v.secrets.Get(v.password)
	return v.user, password, err
}

// Proxy serves the clients of one listener. Close it.
type Proxy struct {
	view       atomic.Pointer[view]
	metrics    *Metrics
	secrets    *conf.Secrets
	maxCommand int
	timeout    time.Duration
	ctx        context.Context
	cancel     context.CancelFunc
	ids        atomic.Int64
	last       atomic.Int64 // Unix nanoseconds
	pending    atomic.Int64 // commands without their answer

	mu      sync.Mutex
	conns   map[net.Conn]struct{} // of both sides; nil once closed
	clients int
	running sync.WaitGroup
}

// New makes a proxy to an upstream whose URL is redis, rediss or memcached.
func New(c Config) *Proxy {
	p := &Proxy{metrics: c.Metrics, secrets: c.Secrets, maxCommand: c.Command, timeout: defaultAnswer, conns: map[net.Conn]struct{}{}}
	if p.maxCommand == 0 {
		p.maxCommand = defaultCommand
	}
	if d := c.Upstream.Config().HeaderTimeout.D(); d > 0 {
		p.timeout = d
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.Set(c.Upstream)
	return p
}

// Set sends the commands to come elsewhere.
func (p *Proxy) Set(up *upstream.Upstream) {
	if v := p.view.Load(); v != nil && v.m.up == up {
		return
	}
	m := NewMap(up)
	m.metrics = p.metrics
	v := &view{m: m, secrets: p.secrets}
	if a := up.Config().Auth; a != nil {
		v.user, v.password = a.User, a.Password
	}
	p.view.Store(v)
}

// Serve answers one client and closes it.
func (p *Proxy) Serve(client net.Conn) {
	if !p.enter(client) {
		client.Close()
		return
	}
	defer p.leave(client)
	s := &session{p: p, client: client, ctx: p.ctx, id: p.ids.Add(1), backends: map[*Shard]*backend{}}
	if s.proto = protocol(&redis{}); p.view.Load().m.up.Target().Kind == "memcached" {
		s.proto = &memcached{}
	}
	s.run()
}

func (p *Proxy) enter(client net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return false
	}
	p.running.Add(1)
	p.clients++
	p.conns[client] = struct{}{}
	return true
}

func (p *Proxy) leave(client net.Conn) {
	p.untrack(client)
	p.mu.Lock()
	p.clients--
	p.mu.Unlock()
	p.last.Store(time.Now().UnixNano())
	p.running.Done()
}

// track lets Close end a connection to a shard; false: it is closed already.
func (p *Proxy) track(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		c.Close()
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

// Busy are the clients, and the commands that wait for their answer.
func (p *Proxy) Busy() (clients, commands int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clients, int(p.pending.Load())
}

// LastActivity is when a client last asked for something or left; now while a command waits for its answer. Idle
// connections of a client's pool do not count.
func (p *Proxy) LastActivity() time.Time {
	if p.pending.Load() > 0 {
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
