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

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/listen"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

const (
	defaultCommand = 64 << 20         // bytes of the largest command
	defaultAnswer  = 60 * time.Second // wait for the next bytes of an answer
)

// Metrics of all sharding listeners.
type Metrics struct{ requests, errors *prometheus.CounterVec }

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ambassador_shard_requests_total",
			Help: "Requests sent to each shard of a Redis or memcached upstream; a command of many keys counts once a shard."},
			[]string{"upstream", "endpoint"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ambassador_shard_errors_total",
			Help: "Requests to a shard that the ambassador had to answer with an error, because the shard could not be asked or did not answer."},
			[]string{"upstream", "endpoint", "reason"}),
	}
	r.MustRegister(m.requests, m.errors)
	return m
}

func (m *Metrics) of(up, shard string) (requests prometheus.Counter, errors *prometheus.CounterVec) {
	return m.requests.WithLabelValues(up, shard), m.errors.MustCurryWith(prometheus.Labels{"upstream": up, "endpoint": shard})
}

// Config of a Proxy.
type Config struct {
	Upstream *upstream.Upstream
	Metrics  *Metrics
	Secrets  *conf.Secrets
	Command  int // bytes of the largest command; 0: 64 MiB of one that must be held whole, and what Redis itself takes of others
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
	view    atomic.Pointer[view]
	metrics *Metrics
	secrets *conf.Secrets
	held    int // bytes of the largest command that is held whole
	most    int // bytes of the largest command at all; 0: what the protocol allows
	timeout time.Duration
	buffers buffers
	ctx     context.Context
	cancel  context.CancelFunc
	ids     atomic.Int64
	last    atomic.Int64 // Unix nanoseconds
	pending atomic.Int64 // commands without their answer

	clients atomic.Int64
	sockets *listen.Sockets // of both sides
	running sync.WaitGroup
}

// New makes a proxy to an upstream whose URL is redis, rediss or memcached.
func New(c Config) *Proxy {
	p := &Proxy{metrics: c.Metrics, secrets: c.Secrets, most: c.Command, held: c.Command, timeout: defaultAnswer, sockets: listen.NewSockets()}
	if p.held == 0 {
		p.held = defaultCommand
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
	old := p.view.Load()
	if old != nil && old.m.up == up {
		return
	}
	v := &view{m: NewMap(up, p.metrics), secrets: p.secrets}
	if a := up.Config().Auth; a != nil {
		v.user, v.password = a.User, a.Password
	}
	p.view.Store(v)
	if old != nil {
		old.m.retire()
	}
}

// Serve answers one client and closes it.
func (p *Proxy) Serve(client net.Conn) {
	p.running.Add(1)
	defer p.running.Done()
	if !p.sockets.Add(client) {
		return
	}
	p.clients.Add(1)
	s := newSession(p, client)
	if s.proto = protocol(&redis{}); p.view.Load().m.up.Target().Kind == "memcached" {
		s.proto = &memcached{}
	}
	s.run()
	p.sockets.Remove(client)
	p.clients.Add(-1)
	p.last.Store(time.Now().UnixNano())
}

// Busy are the clients, and the commands that wait for their answer.
func (p *Proxy) Busy() (clients, commands int) {
	return int(p.clients.Load()), int(p.pending.Load())
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
	p.sockets.Close()
	p.running.Wait()
}
