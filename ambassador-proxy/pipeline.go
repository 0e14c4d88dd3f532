package main

import (
	"context"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit"
	"github.com/pod-helpers/pod-helpers/internal/kit/life"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/discover"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/listen"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/observe"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/route"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/shard"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// service is the running ambassador: listen → route → layer7 | layer4 | shard | forward → upstream.
type service struct {
	env         kit.Env
	shared      upstream.Env
	metrics     *observe.Metrics
	shards      *shard.Metrics
	limit       *listen.Limit
	startupWait atomic.Int64 // nanoseconds
	done        chan struct{}

	mu        sync.Mutex
	upstreams map[string]*upstream.Upstream
	front     map[string]*front    // by listener address
	gone      []*front             // closed by a reload, with connections that live on
	retired   []*upstream.Upstream // replaced by a reload, with requests that finish
}

func start(_ context.Context, c *config.Config, env kit.Env) (kit.Service[config.Config], error) {
	return serve(c, env, &discover.DNS{})
}

// serve starts the ambassador with a way to ask for names.
func serve(c *config.Config, env kit.Env, dns *discover.DNS) (*service, error) {
	s := &service{
		env: env, metrics: observe.NewMetrics(env.Metrics), shards: shard.NewMetrics(env.Metrics), limit: &listen.Limit{}, done: make(chan struct{}),
		upstreams: map[string]*upstream.Upstream{}, front: map[string]*front{},
	}
	s.shared = upstream.Env{Log: env.Log, Secrets: env.Secrets, Health: health.NewRegistry(), DNS: dns,
		StartupWait: func() time.Duration { return time.Duration(s.startupWait.Load()) }}
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
	next, fresh, err := s.nextUpstreams(c)
	if err != nil {
		return err
	}
	goals, opened, err := s.nextFronts(c, next)
	if err != nil {
		for _, u := range fresh {
			u.Close()
		}
		for _, f := range opened {
			f.socks.Close()
		}
		return err
	}
	s.limit.Set(c.MaxConnections)
	s.startupWait.Store(int64(c.StartupWait.D()))
	s.metrics.Log(observe.NewAccessLog(os.Stdout, c.AccessLog))
	for address, f := range opened {
		s.front[address] = f
	}
	for address, to := range goals {
		s.front[address].lead(to, s.engineFor)
	}
	s.retire(goals, next)
	return nil
}

// retire lets go of what the new configuration does not have.
func (s *service) retire(goals map[string]goal, next map[string]*upstream.Upstream) {
	for address, f := range s.front {
		if _, wanted := goals[address]; !wanted {
			f.socks.Close() // its connections live on until the app closes them
			s.gone = append(s.gone, f)
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
	s.gone = slices.DeleteFunc(s.gone, (*front).ended)
	s.retired = slices.DeleteFunc(s.retired, (*upstream.Upstream).Unused)
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

// nextFronts compiles the routes of each listener, and opens the sockets of those that are new.
func (s *service) nextFronts(c *config.Config, next map[string]*upstream.Upstream) (goals map[string]goal, opened map[string]*front, err error) {
	goals, opened = map[string]goal{}, map[string]*front{}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		table, err := route.New(l, next)
		if err != nil {
			return nil, opened, err
		}
		goals[l.Address] = goal{l, table, next[l.To]}
		if s.front[l.Address] != nil {
			continue
		}
		socks, err := listen.Bind(l.Address, s.limit)
		if err != nil {
			return nil, opened, err
		}
		opened[l.Address] = newFront(l, socks)
	}
	return goals, opened, nil
}

// Reload swaps to a new configuration.
func (s *service) Reload(_ context.Context, c *config.Config) error { return s.apply(c) }

// Drain goes on serving until the app has been quiet.
func (s *service) Drain(ctx context.Context, quiet time.Duration) error {
	if life.WaitQuiet(ctx, quiet, s.lastActivity) == nil {
		return nil
	}
	left := 0
	for _, f := range s.everyFront() {
		_, requests, _ := f.busy()
		left += requests
	}
	if left == 0 {
		return nil
	}
	return &life.Unfinished{Left: int64(left), Unit: "requests"}
}

func (s *service) lastActivity() (last time.Time) {
	for _, f := range s.everyFront() {
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
	slices.SortFunc(all, func(a, b *front) int { return strings.Compare(a.address, b.address) })
	return all
}

// everyFront is also those that accept nothing any more.
func (s *service) everyFront() []*front {
	all := s.fronts()
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(all, s.gone...)
}

func (s *service) all() []*upstream.Upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*upstream.Upstream, 0, len(s.upstreams))
	for _, u := range s.upstreams {
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b *upstream.Upstream) int { return strings.Compare(a.Name(), b.Name()) })
	return all
}

// Close ends everything at once.
func (s *service) Close() error {
	for _, f := range s.everyFront() {
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
