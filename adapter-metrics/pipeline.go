package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/source"
	"github.com/pod-helpers/pod-helpers/internal/kit"
	"github.com/pod-helpers/pod-helpers/internal/kit/life"
)

// pipeline is source → decode → rules → series → expose. What is at work is a snapshot that
// never changes; a reload makes the next one and takes over into it every source that stays as it is.
type pipeline struct {
	env    kit.Env
	store  *series.Store
	fixed  fixed
	now    atomic.Pointer[snapshot]
	pulls  sync.Mutex // held while sources are pulled, and while a reload swaps snapshots
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	observe func(decode.Mapper) decode.Mapper // what explain puts before the rules of pushed names
}

// fixed is what a reload cannot change.
type fixed struct {
	limits     config.Limits
	exposition config.Exposition
}

// snapshot is one configuration at work.
type snapshot []*running

// running is one source at work.
type running struct {
	config  config.Source
	prefix  string
	plan    plan
	set     *rules.Set
	src     *series.Source
	pull    *pull       // or nil
	ears    []*listener // of a source that pushes
	decoder lineDecoder // that the ears or the follower feed
	stop    context.CancelFunc
	done    sync.WaitGroup // what stop ends

	follower source.Follower // of log files; before launch that of the source before this one
	followed timed           // what it hands on
}

// reservedPrefix is that of the helper's own metrics.
const reservedPrefix = "adapter_"

func start(ctx context.Context, c *config.Config, env kit.Env) (kit.Service[config.Config], error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &pipeline{env: env, ctx: ctx, cancel: cancel, fixed: fixed{c.Limits, c.Exposition}}
	p.store = series.New(series.Options{
		ReservedPrefix: reservedPrefix,
		Limits:         series.Limits{Series: c.Limits.Series, PerSource: c.Limits.PerSource, Labels: c.Limits.Labels, Idle: c.Limits.Idle.D()},
		Refused:        func(err error) { env.Log.Warn("metric refused", "error", err) },
	})
	p.now.Store(&snapshot{})
	err := p.Reload(ctx, c)
	if err == nil {
		env.Metrics.MustRegister(p.store, source.PushMetrics{List: p.pushes}, pullMetrics{p})
		err = p.serve(c.Exposition)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.work.Go(func() { p.store.Run(ctx) })
	return p, nil
}

// serve puts the page where the configuration wants it.
func (p *pipeline) serve(c config.Exposition) error {
	page := expose.New(p.store, p.env.Metrics, p)
	page.Options = expose.Options{Created: c.Created, OpenMetrics2: c.OpenMetrics2}
	if c.MetricsAddress == "" {
		p.env.Admin.SetMetrics(page)
		return nil
	}
	l, err := expose.Listen(p.ctx, c.MetricsAddress, c.WebConfig, page, p.env.Log)
	if err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	p.env.Admin.SetMetrics(expose.Loopback(page))
	p.work.Go(func() {
		if err := l.Run(p.ctx); err != nil {
			p.env.Log.Error("metrics listener stopped", "error", err)
		}
	})
	return nil
}

// Reload opens what is new, swaps, and closes what is no longer wanted. Everything that can fail comes
// before the swap, so that after an error the old snapshot works on. A source that did not change keeps its
// listeners, series and counters; one of which only the rules changed keeps its listeners.
func (p *pipeline) Reload(_ context.Context, c *config.Config) error {
	old := *p.now.Load()
	fresh, opened, err := p.prepare(old, c)
	if err != nil {
		for _, l := range opened {
			err = errors.Join(err, l.Close())
		}
		for i := range c.Sources { // accounts that were opened for nothing
			if src := p.store.Source(c.Sources[i].Name); !slices.ContainsFunc(old, func(r *running) bool { return r.src == src }) {
				p.store.Forget(src)
			}
		}
		return err
	}
	p.pulls.Lock() // a round of a source that goes would bring its series back
	defer p.pulls.Unlock()
	for _, r := range old {
		if !slices.Contains(fresh, r) {
			p.retire(r, fresh)
		}
	}
	for _, r := range fresh {
		if !slices.Contains(old, r) {
			p.launch(r)
		}
	}
	for _, l := range opened {
		l.run(p.ctx, p.env.Log)
	}
	p.now.Store(&fresh)
	if p.fixed != (fixed{c.Limits, c.Exposition}) {
		p.env.Log.Warn("limits and how metrics are served need a restart to change")
	}
	return nil
}

// prepare makes the next snapshot and opens its new listeners, which it returns even with an error.
func (p *pipeline) prepare(old snapshot, c *config.Config) (fresh snapshot, opened []*listener, err error) {
	for i := range c.Sources {
		s := c.Sources[i]
		if r := old.same(s, c.Prefix); r != nil {
			fresh = append(fresh, r)
			continue
		}
		r := &running{config: s, prefix: c.Prefix}
		pl, err := p.plan(&s, c.Prefix)
		if err == nil {
			err = r.compile(p, pl)
		}
		for _, address := range pl.listen {
			var l *listener
			if l = old.listener(address); l == nil && err == nil {
				if l, err = p.listen(address); err == nil {
					opened = append(opened, l)
				}
			}
			r.ears = append(r.ears, l)
		}
		if err != nil {
			return nil, opened, err
		}
		fresh = append(fresh, r)
	}
	return fresh, opened, nil
}

// same is the running source that s describes too.
func (s snapshot) same(c config.Source, prefix string) *running {
	for _, r := range s {
		if r.prefix == prefix && reflect.DeepEqual(r.config, c) {
			return r
		}
	}
	return nil
}

// compile makes the rules ready, and the account of a source that is not there yet.
func (r *running) compile(p *pipeline, pl plan) error {
	set, err := r.rules(pl)
	if err != nil {
		return err
	}
	r.plan, r.set, r.src = pl, set, p.store.Source(r.config.Name)
	if pl.fetch != nil {
		r.pull = &pull{name: r.config.Name, fetch: pl.fetch, decode: pl.decode, feed: set.Feed(p.store, r.src), src: r.src, errors: map[string]uint64{}}
	}
	if pl.lines != nil {
		m := set.Mapper()
		if p.observe != nil {
			m = p.observe(m)
		}
		r.decoder = pl.lines(p.store, r.src, m)
	}
	return nil
}

// rules are the source's own, and behind them those of its plan.
func (r *running) rules(pl plan) (*rules.Set, error) {
	list, err := r.config.AllRules()
	if err != nil {
		return nil, err
	}
	return rules.New(slices.Concat(list, pl.rules), pl.prefix)
}

// launch sets a source to work.
func (p *pipeline) launch(r *running) {
	for _, l := range r.ears {
		l.relay.resume(r.decoder)
	}
	ctx, cancel := context.WithCancel(p.ctx)
	r.stop = cancel
	if every := r.config.Interval.D(); every > 0 && r.pull != nil {
		r.done.Go(func() { r.pull.repeat(ctx, every, p.env.Log) })
	}
	if r.plan.follow != nil {
		r.follower = r.plan.follow(r.follower)
		r.followed.to, r.followed.src, r.followed.log = r.decoder, r.src, p.env.Log
		r.done.Go(func() { r.follower.Run(ctx, &r.followed) })
	}
	if w, ok := r.plan.fetch.(interface{ Watch(context.Context) }); ok {
		r.done.Go(func() { w.Watch(ctx) }) // files that rotate
	}
}

// retire ends what a source does that the next snapshot does not take over. Its account stays when the next snapshot has a
// source of that name, emptied of what that one would not make itself.
func (p *pipeline) retire(r *running, next snapshot) {
	for _, l := range r.ears {
		if next.listener(l.address) == l {
			l.relay.pause() // launch resumes it
		} else {
			l.shut()
		}
	}
	r.end()
	defer r.release()
	switch i := slices.IndexFunc(next, func(n *running) bool { return n.src == r.src }); {
	case i < 0:
		p.store.Forget(r.src)
	case !next[i].inherit(r):
		r.src.Clear()
	}
}

// end stops what launch started. The listeners are another matter: they may live on.
func (r *running) end() {
	r.stop()
	r.done.Wait()
	if c, ok := r.plan.fetch.(interface{ Close() }); ok {
		c.Close() // idle connections
	}
}

// release closes the files of a source that has ended, unless another one reads on in them.
func (r *running) release() {
	if r.follower != nil {
		r.follower.Close()
	}
}

// Drain serves until pushed samples and lines of logs have ceased.
func (p *pipeline) Drain(ctx context.Context, quiet time.Duration) error {
	_ = life.WaitQuiet(ctx, quiet, func() (last time.Time) {
		for _, r := range *p.now.Load() {
			for _, l := range r.ears {
				if t := l.LastActivity(); t.After(last) {
					last = t
				}
			}
			if t := r.followed.LastActivity(); t.After(last) {
				last = t
			}
		}
		return last
	})
	return nil
}

// Close ends everything that was started.
func (p *pipeline) Close() error {
	p.cancel()
	for _, r := range *p.now.Load() {
		for _, l := range r.ears {
			l.shut()
		}
		r.end()
		r.release()
	}
	p.work.Wait()
	return nil
}

// Live names a listener that has stopped: nothing but a restart would bring it back.
func (p *pipeline) Live() error {
	for _, r := range *p.now.Load() {
		for _, l := range r.ears {
			if why := l.failed.Load(); why != nil {
				return *why
			}
		}
	}
	return nil
}

// Done is never closed: an adapter has no end of its own.
func (p *pipeline) Done() <-chan struct{} { return nil }

// Err goes with Done.
func (p *pipeline) Err() error { return nil }
