package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit"
	"github.com/pod-helpers/pod-helpers/internal/kit/life"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/discover"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/forward"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer4"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/listen"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/observe"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/route"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/shard"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// service is the running ambassador: listen → route → layer7 | layer4 | shard | forward → upstream.
type service struct {
	env     kit.Env
	shared  upstream.Env
	metrics *observe.Metrics
	shards  *shard.Metrics
	limit   *listen.Limit
	done    chan struct{}

	mu        sync.Mutex
	upstreams map[string]*upstream.Upstream
	front     map[string]*front // by listener address
	retired   []*upstream.Upstream
}

// front is one listener with its engines.
type front struct {
	config config.Listener
	socks  *listen.Listener
	route  route.Switch
	h1     *layer7.H1
	std    *layer7.Std
	l4     *layer4.Proxy
	egress *forward.Proxy
	shard  *shard.Proxy
}

func start(_ context.Context, c *config.Config, env kit.Env) (kit.Service[config.Config], error) {
	s := &service{
		env: env, metrics: observe.NewMetrics(env.Metrics), shards: shard.NewMetrics(env.Metrics), limit: &listen.Limit{}, done: make(chan struct{}),
		upstreams: map[string]*upstream.Upstream{}, front: map[string]*front{},
		shared: upstream.Env{Log: env.Log, Secrets: env.Secrets, Health: health.NewRegistry(), DNS: &discover.DNS{}, StartupWait: c.StartupWait.D()},
	}
	env.Metrics.MustRegister(observe.NewUpstreams(s.all, s.limit))
	if err := s.apply(c); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// apply makes c what runs: new parts first, then the swap, then what is no longer wanted goes. After an error nothing has
// changed.
func (s *service) apply(c *config.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit.Set(c.MaxConnections)
	next, fresh, err := s.nextUpstreams(c)
	if err != nil {
		return err
	}
	tables, opened, err := s.nextFronts(c, next)
	if err != nil {
		for _, u := range fresh {
			u.Close()
		}
		for _, f := range opened {
			f.socks.Close()
		}
		return err
	}
	log := observe.NewAccessLog(os.Stdout, c.AccessLog)
	wanted := map[string]bool{}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		wanted[l.Address] = true
		if f := opened[l.Address]; f != nil {
			s.front[l.Address] = f
			s.serve(f, tables[l.Address], next[l.To], s.metrics.Listener(l.Address, log))
			continue
		}
		s.front[l.Address].swap(l, tables[l.Address], next[l.To])
	}
	for address, f := range s.front {
		if !wanted[address] {
			f.socks.Close() // its connections live on until the app closes them
			delete(s.front, address)
		}
	}
	for name, u := range s.upstreams {
		if next[name] != u {
			u.Retire()
			s.retired = append(s.retired, u)
		}
	}
	s.upstreams = next
	return nil
}

// nextUpstreams keeps those whose configuration did not change, with their pools and statistics.
func (s *service) nextUpstreams(c *config.Config) (next map[string]*upstream.Upstream, fresh []*upstream.Upstream, err error) {
	next = map[string]*upstream.Upstream{}
	for _, name := range c.UpstreamNames() {
		if have := s.upstreams[name]; have != nil && reflect.DeepEqual(have.Config(), *c.Upstreams[name]) {
			next[name] = have
			continue
		}
		u, err := upstream.New(name, *c.Upstreams[name], s.shared)
		if err != nil {
			for _, f := range fresh {
				f.Close()
			}
			return nil, nil, err
		}
		next[name] = u
		fresh = append(fresh, u)
	}
	return next, fresh, nil
}

func (s *service) nextFronts(c *config.Config, next map[string]*upstream.Upstream) (tables map[string]*route.Table, opened map[string]*front, err error) {
	tables, opened = map[string]*route.Table{}, map[string]*front{}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if tables[l.Address], err = route.New(l, next); err != nil {
			return tables, opened, err
		}
		have := s.front[l.Address]
		if have != nil && have.config.Protocol == l.Protocol {
			continue
		}
		if have != nil {
			return tables, opened, fmt.Errorf("listener %s: its protocol changes only with a restart", l.Address)
		}
		socks, err := listen.Bind(l.Address, s.limit)
		if err != nil {
			return tables, opened, err
		}
		opened[l.Address] = &front{config: *l, socks: socks}
	}
	return tables, opened, nil
}

// serve starts the engines of a new listener.
func (s *service) serve(f *front, t *route.Table, up *upstream.Upstream, o *observe.Listener) {
	switch f.config.Protocol {
	case "forward":
		f.egress = forward.New(f.config.Allow, func(_ string, why reason.Reason, in, out int64) { o.Connection("", why, in, out) })
		f.socks.Serve(f.egress.Serve)
		return
	case "tcp":
		f.l4 = layer4.New(up, f.config.IdleTimeout.D(), o.Connection)
		f.socks.Serve(f.l4.Serve)
		return
	case "redis", "memcached":
		f.shard = shard.New(shard.Config{Upstream: up, Metrics: s.shards, Secrets: s.env.Secrets, Command: int(f.config.MaxBody)})
		f.socks.Serve(f.shard.Serve)
		return
	}
	f.route.Set(t)
	f.std = layer7.NewStd(layer7.StdConfig{Route: &f.route, Observer: o, Body: int64(f.config.MaxBody),
		HeadTimeout: f.config.HeadTimeout.D(), ClientIdle: f.config.IdleTimeout.D()})
	f.h1 = layer7.NewH1(layer7.H1Config{Route: &f.route, Observer: o, Other: func(c net.Conn) { f.std.Serve(c) },
		Body: int64(f.config.MaxBody), HeadTimeout: f.config.HeadTimeout.D(), ClientIdle: f.config.IdleTimeout.D()})
	f.socks.Serve(f.h1.Serve)
}

func (f *front) swap(l *config.Listener, t *route.Table, up *upstream.Upstream) {
	switch {
	case f.egress != nil:
		f.egress.Set(l.Allow)
	case f.l4 != nil:
		f.l4.Set(up)
	case f.shard != nil:
		f.shard.Set(up)
	default:
		f.route.Set(t)
	}
}

// busy is how much is under way, and when there was something last.
func (f *front) busy() (connections, requests int, last time.Time) {
	switch {
	case f.egress != nil:
		return f.egress.Busy(), 0, f.egress.LastActivity()
	case f.l4 != nil:
		return f.l4.Busy(), 0, f.l4.LastActivity()
	case f.shard != nil:
		connections, requests = f.shard.Busy()
		return connections, requests, f.shard.LastActivity()
	}
	c1, r1 := f.h1.Busy()
	c2, r2 := f.std.Busy()
	last = f.h1.LastActivity()
	if t := f.std.LastActivity(); t.After(last) {
		last = t
	}
	return c1 + c2, r1 + r2, last
}

func (f *front) close() {
	f.socks.Close()
	switch {
	case f.egress != nil:
		f.egress.Close()
	case f.l4 != nil:
		f.l4.Close()
	case f.shard != nil:
		f.shard.Close()
	default:
		f.std.Close()
		f.h1.Close()
	}
}

// Reload swaps to a new configuration.
func (s *service) Reload(_ context.Context, c *config.Config) error { return s.apply(c) }

// Drain goes on serving until the app has been quiet.
func (s *service) Drain(ctx context.Context, quiet time.Duration) error {
	if life.WaitQuiet(ctx, quiet, s.lastActivity) == nil {
		return nil
	}
	left := 0
	for _, f := range s.fronts() {
		connections, requests, _ := f.busy()
		left += requests
		if f.l4 != nil || f.egress != nil {
			left += connections / 2
		}
	}
	if left == 0 {
		return nil
	}
	return &life.Unfinished{Left: int64(left), Unit: "requests"}
}

func (s *service) lastActivity() (last time.Time) {
	for _, f := range s.fronts() {
		if _, _, t := f.busy(); t.After(last) {
			last = t
		}
	}
	return last
}

func (s *service) fronts() []*front {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*front, 0, len(s.front))
	for _, f := range s.front {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *front) int { return compare(a.config.Address, b.config.Address) })
	return all
}

func (s *service) all() []*upstream.Upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*upstream.Upstream, 0, len(s.upstreams))
	for _, u := range s.upstreams {
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b *upstream.Upstream) int { return compare(a.Name(), b.Name()) })
	return all
}

// Close ends everything at once.
func (s *service) Close() error {
	for _, f := range s.fronts() {
		f.close()
	}
	for _, u := range append(s.all(), s.retired...) {
		u.Close()
	}
	return nil
}

// Done never closes: the ambassador does not end by itself.
func (s *service) Done() <-chan struct{} { return s.done }

// Err is always nil.
func (s *service) Err() error { return nil }
