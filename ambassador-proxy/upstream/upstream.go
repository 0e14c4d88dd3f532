// Package upstream is one destination: its endpoints with their connections, health and load, and the rules by which
// requests get to them. It knows no protocol; the engines of layer7, layer4 and shard stand on it.
package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/balance"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/discover"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/limit"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/retry"
)

// Env is what upstreams share.
type Env struct {
	Log         *slog.Logger
	Secrets     *conf.Secrets
	Health      *health.Registry
	DNS         *discover.DNS
	StartupWait func() time.Duration // as it is configured now
}

// Upstream implements layer7.Upstream. Close it.
type Upstream struct {
	name     string
	config   config.Upstream
	target   config.Target
	env      Env
	settings layer7.Settings
	inject   []injected
	dial     *dialer
	tls      *tlsfile.Source
	queue    *limit.Queue
	budget   *retry.Budget
	watcher  *discover.Watcher
	stats    Stats
	latency  quantiles
	hedge    hedging

	mu    sync.Mutex // of what changes the set
	ends  []*Endpoint
	set   atomic.Pointer[set]
	known chan struct{} // closed when the first addresses are known
	once  sync.Once

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// set is what Pick reads: immutable.
type set struct {
	all     []*Endpoint
	policy  balance.Policy // nil: there is no endpoint
	sick    []*Endpoint    // ejected or down
	panicky bool           // too few are well: all are used
}

// New starts an upstream: it resolves its endpoints in the background.
func New(name string, c config.Upstream, env Env) (*Upstream, error) {
	target, err := config.ParseTarget(c.URL)
	if err != nil {
		return nil, err
	}
	u := &Upstream{name: name, config: c, target: target, env: env, known: make(chan struct{})}
	if u.tls, err = tlsfile.New(c.TLS); err != nil {
		return nil, fmt.Errorf("upstream %s: %w", name, err)
	}
	var via *url.URL
	if c.Via != "" {
		if via, err = config.ViaURL(c.Via); err != nil {
			return nil, err
		}
	}
	u.dial = &dialer{via: via, timeout: or(c.ConnectTimeout.D(), 2*time.Second), rival: u.rival}
	u.queue = limit.NewQueue(or(c.Limits.Requests, 10000), or(c.Limits.Queue, 1000), or(c.Limits.QueueTimeout.D(), time.Second))
	if h := c.Hedge; h != nil {
		if u.hedge.quantile, u.hedge.fixed, err = h.Parse(); err != nil {
			return nil, fmt.Errorf("upstream %s: hedge: %w", name, err)
		}
	}
	u.budget = retry.NewBudget(time.Now())
	u.inject = injections(&c)
	u.settings = u.makeSettings()
	u.watcher = discover.New(target, env.DNS, env.Log.With("upstream", name), u.update, u.stats.dns)
	u.set.Store(&set{})
	u.start()
	return u, nil
}

func (u *Upstream) start() {
	var ctx context.Context
	ctx, u.cancel = context.WithCancel(context.Background())
	u.running.Go(func() { u.watcher.Run(ctx) })
	u.running.Go(func() { u.tls.Watch(ctx, u.env.Log) })
	u.running.Go(func() { u.sweep(ctx) })
	if u.config.Health != nil {
		u.running.Go(func() { u.check(ctx) })
	}
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (u *Upstream) makeSettings() layer7.Settings {
	c := &u.config
	s := layer7.Settings{
		Name: u.name, Host: c.Host, Header: c.HeaderTimeout.D(), Idle: c.IdleTimeout.D(), Total: c.Timeout.D(),
		Tries: c.Retry.Total(), Upgrade: c.Upgrade, Drop: drops(c),
	}
	switch c.Host {
	case "":
		s.Host = u.target.HostField()
	case "keep":
		s.Host = ""
	}
	if u.target.H2 {
		s.HTTP2 = "http"
		if u.target.TLS {
			s.HTTP2 = "https"
		}
	}
	return s
}

func (u *Upstream) tlsTimeout() time.Duration { return or(u.config.TLSTimeout.D(), 5*time.Second) }

// serverName is what the certificate of an endpoint must carry: the name that was resolved.
func (u *Upstream) serverName(a discover.Address) string { return a.Name }

// Name is the upstream's name in the configuration.
func (u *Upstream) Name() string { return u.name }

// Config is what the upstream was made of.
func (u *Upstream) Config() config.Upstream { return u.config }

// Target is what its URL means.
func (u *Upstream) Target() config.Target { return u.target }

// NeedsHTTP2 tells whether only the net/http engine can talk to it.
func (u *Upstream) NeedsHTTP2() bool { return u.target.H2 }

// Settings never change.
func (u *Upstream) Settings() *layer7.Settings { return &u.settings }

// Admit counts the request and takes a place.
func (u *Upstream) Admit(ctx context.Context) error {
	u.budget.Count()
	return u.queue.Enter(ctx)
}

// Leave gives the place back.
func (u *Upstream) Leave() { u.queue.Leave() }

// Retry takes a token of the budget. The first retry of a connection that could not be made is free when there is another
// endpoint to ask: no upstream has had any work from it, so nothing is amplified.
func (u *Upstream) Retry(why reason.Reason, try int) (time.Duration, bool) {
	free := try == 1 && notConnected(why) && len(u.Endpoints()) > 1
	if !free && !u.budget.Take(time.Now()) {
		u.stats.Refused.Add(1)
		return 0, false
	}
	u.stats.retry(why)
	return retry.Wait(why, try), true
}

// Pick chooses an endpoint.
func (u *Upstream) Pick(ctx context.Context, p layer7.Pick) (layer7.Endpoint, error) {
	e, err := u.Choose(ctx, p)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Choose is Pick with its own type, for the engines below layer 7.
func (u *Upstream) Choose(ctx context.Context, p layer7.Pick) (*Endpoint, error) {
	s := u.set.Load()
	if s.policy == nil {
		if err := u.await(ctx); err != nil {
			return nil, err
		}
		if s = u.set.Load(); s.policy == nil {
			return nil, &reason.Error{Reason: reason.NoEndpoint, Err: fmt.Errorf("upstream %s has no address", u.name)}
		}
	}
	now := p.Now
	if now.IsZero() {
		now = time.Now()
	}
	if s.refused(p.Tried) {
		u.watcher.Fresh(ctx, freshWait)
		if s = u.set.Load(); s.policy == nil {
			return nil, &reason.Error{Reason: reason.NoEndpoint, Err: fmt.Errorf("upstream %s has no address", u.name)}
		}
	}
	for _, e := range s.sick {
		if e.record.Probe(now) {
			e.load.Begin()
			return e, nil
		}
	}
	q := balance.Query{Hash: p.Hash, Hashed: p.Hashed}
	if len(p.Tried) > 0 {
		q.Tried = items(p.Tried)
	}
	e := s.policy.Pick(q, now).(*Endpoint)
	e.load.Begin()
	return e, nil
}

func items(tried []layer7.Endpoint) []balance.Item {
	all := make([]balance.Item, 0, len(tried))
	for _, e := range tried {
		all = append(all, e.(*Endpoint))
	}
	return all
}

// await waits for the first addresses.
func (u *Upstream) await(ctx context.Context) error {
	timer := time.NewTimer(u.env.StartupWait())
	defer timer.Stop()
	select {
	case <-u.known:
		return nil
	case <-ctx.Done():
		return &reason.Error{Reason: reason.OfContext(ctx)}
	case <-timer.C:
	}
	if err := u.watcher.Err(); err != nil {
		return &reason.Error{Reason: reason.DNSFailed, Err: err}
	}
	return &reason.Error{Reason: reason.NoEndpoint}
}

// update takes a new set of addresses: endpoints that stay keep their connections and statistics, others drain.
func (u *Upstream) update(addresses []discover.Address) {
	u.mu.Lock()
	have := map[discover.Address]*Endpoint{}
	for _, e := range u.ends {
		have[e.addr] = e
	}
	ends := make([]*Endpoint, 0, len(addresses))
	for _, a := range addresses {
		e := have[a]
		if e == nil {
			e = u.newEndpoint(a)
		}
		delete(have, a)
		ends = append(ends, e)
	}
	u.ends = ends
	u.mu.Unlock()
	u.rebuild()
	for _, gone := range have {
		gone.close()
	}
	u.env.Log.Info("endpoints", "upstream", u.name, "count", len(ends), "gone", len(have))
	u.once.Do(func() { close(u.known) })
}

const panicShare = 0.5 // below this share of well endpoints, health is not believed

// rebuild makes the set that Pick reads.
func (u *Upstream) rebuild() {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := &set{all: u.ends}
	var well []balance.Item
	for _, e := range u.ends {
		if e.State() == health.Healthy {
			well = append(well, e)
		} else {
			s.sick = append(s.sick, e)
		}
	}
	if float64(len(well)) < panicShare*float64(len(u.ends)) {
		s.panicky = true
		well = well[:0]
		for _, e := range u.ends {
			well = append(well, e)
		}
	}
	if len(well) > 0 {
		s.policy, _ = balance.New(u.config.Balance, well, u.config.SlowStart.D()) // the name is validated
	}
	u.set.Store(s)
}

// eject takes an endpoint out unless that would leave less than half. A shard is taken out in any case: no other could do its
// work.
func (u *Upstream) eject(e *Endpoint, why string, now time.Time) {
	u.mu.Lock()
	out := 0
	for _, other := range u.ends {
		if other != e && other.State() != health.Healthy {
			out++
		}
	}
	sharded := u.target.Sharded()
	allowed := sharded || 2*(out+1) <= len(u.ends)
	switch {
	case sharded:
		e.record.EjectFor(retryShard, why, now)
	case allowed:
		e.record.Eject(why, now)
	}
	if allowed {
		u.stats.ejection(why)
	}
	u.mu.Unlock()
	if allowed {
		u.env.Log.Warn("endpoint ejected", "upstream", u.name, "endpoint", e.addr.Addr, "because", why)
		u.rebuild()
	} else {
		e.record.Unprobe()
	}
}

// Several is layer7.Several.
func (u *Upstream) Several() bool { return len(u.Endpoints()) > 1 }

// Endpoints are all known endpoints.
func (u *Upstream) Endpoints() []*Endpoint { return u.set.Load().all }

// sweep closes connections whose time is up.
func (u *Upstream) sweep(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			u.budget.Advance(now)
			for _, e := range u.Endpoints() {
				e.pool.Sweep(now)
				e.clients.sweep(now)
			}
		}
	}
}

// Retire stops looking after a replaced upstream: what is under way finishes, and its connections close as they get idle.
func (u *Upstream) Retire() {
	u.cancel()
	u.running.Wait()
	for _, e := range u.Endpoints() {
		e.close()
	}
}

// Unused tells whether nothing is left of a retired upstream.
func (u *Upstream) Unused() bool {
	for _, e := range u.Endpoints() {
		if e.Connections() > 0 || e.load.InFlight() > 0 {
			return false
		}
	}
	return true
}

// Close ends everything at once.
func (u *Upstream) Close() {
	u.Retire()
	for _, e := range u.Endpoints() {
		e.clients.kill()
	}
}
