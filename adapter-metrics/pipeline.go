package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/source"
	"github.com/pod-helpers/pod-helpers/internal/kit"
	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
	"github.com/pod-helpers/pod-helpers/internal/kit/life"
)

// pipeline is source → decode → rules → series → expose.
type pipeline struct {
	env    kit.Env
	store  *series.Store
	pulls  []*pull
	pushes []source.NamedPush
	cancel context.CancelFunc
	work   sync.WaitGroup
}

func start(ctx context.Context, c *config.Config, env kit.Env) (kit.Service[config.Config], error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &pipeline{env: env, cancel: cancel}
	p.store = series.New(series.Options{
		ReservedPrefix: "adapter_",
		Limits:         series.Limits{Series: c.Limits.Series, PerSource: c.Limits.PerSource, Labels: c.Limits.Labels, Idle: c.Limits.Idle.D()},
		Refused:        func(err error) { env.Log.Warn("metric refused", "error", err) },
	})
	for i := range c.Sources {
		if err := p.add(ctx, &c.Sources[i], c.Prefix); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	env.Metrics.MustRegister(p.store, source.PushMetrics{List: func() []source.NamedPush { return p.pushes }}, pullMetrics{p.pulls})
	env.Admin.SetMetrics(expose.New(p.store, env.Metrics, p))
	p.work.Go(func() { p.store.Run(ctx) })
	return p, nil
}

func (p *pipeline) add(ctx context.Context, s *config.Source, prefix string) error {
	set, err := rules.New(s.Rules, prefix)
	if err != nil {
		return err
	}
	src := p.store.Source(s.Name)
	switch {
	case s.JSON != nil:
		fetch, err := p.fetcher(s.JSON)
		if err != nil {
			return err
		}
		p.pulls = append(p.pulls, &pull{name: s.Name, fetch: fetch, decode: decode.JSON, feed: set.Feed(p.store, src), src: src})
	case s.Resources != nil:
		set, err = rules.New(s.Rules, "")
		fetch := source.Resources{Process: s.Resources.Process, Volumes: s.Resources.Volumes, Prefix: prefix}
		p.pulls = append(p.pulls, &pull{name: s.Name, fetch: fetch, decode: decode.Lines, feed: set.Feed(p.store, src), src: src})
	case s.StatsD != nil:
		d := decode.NewStatsD(p.store, src, pushMapper{set.Walk()})
		return p.listen(ctx, s.Name, s.StatsD.Listen, d, d.Lines)
	case s.Graphite != nil:
		d := decode.NewGraphite(p.store, src, pushMapper{set.Walk()})
		return p.listen(ctx, s.Name, s.Graphite.Listen, d, d.Lines)
	}
	return err
}

func (p *pipeline) fetcher(d *config.Document) (source.Fetcher, error) {
	if path, ok := cutScheme(d.URL); ok {
		return source.File{Path: path, Limit: int64(d.MaxBytes)}, nil
	}
	header := http.Header{}
	for name, ref := range d.Headers {
		value, err := p.env.Secrets.Get(ref)
		if err != nil {
			return nil, err
		}
		header.Set(name, value)
	}
	return source.NewHTTP(d.URL, header, int64(d.MaxBytes))
}

func cutScheme(url string) (string, bool) {
	const scheme = "file://"
	if len(url) > len(scheme) && url[:len(scheme)] == scheme {
		return url[len(scheme):], true
	}
	return "", false
}

func (p *pipeline) listen(ctx context.Context, name string, addresses []string, d source.LineDecoder, lines func() uint64) error {
	push, err := source.Listen(ctx, addresses, d, p.env.Log)
	if err != nil {
		return err
	}
	p.pushes = append(p.pushes, source.NamedPush{Name: name, Lines: lines, Push: push})
	p.work.Go(func() { _ = push.Run(ctx) })
	return nil
}

// pushMapper shows the rules to a decoder of pushed lines.
type pushMapper struct{ walk *rules.Walk }

// Map implements decode.Mapper; the first rule that matches counts.
func (m pushMapper) Map(s *sample.Sample) (decode.Mapping, bool) {
	var out decode.Mapping
	path, first := s.Path, true
	m.walk.Reset()
	for _, segment := range path {
		m.walk.Push(segment)
	}
	matched := m.walk.Match(s, func(o *rules.Outcome) {
		if !first {
			return
		}
		first = false
		out = decode.Mapping{Drop: o.Drop, Labels: o.Labels, Scale: o.Factor}
		if o.Desc != nil {
			out.Desc = *o.Desc
		}
	})
	s.Path = path
	return out, matched
}

// Pull implements expose.Puller: all pull sources at once, a failure only when every one failed.
func (p *pipeline) Pull(ctx context.Context) error {
	errs := make([]error, len(p.pulls))
	var wg sync.WaitGroup
	for i, pl := range p.pulls {
		wg.Go(func() { errs[i] = pl.run(ctx) })
	}
	wg.Wait()
	for i, err := range errs {
		if err == nil {
			return nil
		}
		p.env.Log.Warn("source absent", "source", p.pulls[i].name, "error", err)
	}
	if len(p.pulls) == 0 || len(p.pushes) > 0 {
		return nil
	}
	return errors.Join(errs...)
}

// pull is one source that is read at each scrape.
type pull struct {
	name     string
	fetch    source.Fetcher
	decode   func([]byte, decode.Walker) error
	feed     *rules.Feed
	src      *series.Source
	buf      []byte
	up       atomic.Bool
	duration atomic.Int64
	success  atomic.Int64
	failures atomic.Uint64
}

func (p *pull) run(ctx context.Context) (err error) {
	begin := time.Now()
	p.buf, err = p.fetch.Fetch(ctx, p.buf[:0])
	p.feed.Begin()
	if err == nil {
		if err = p.decode(p.buf, p.feed); err != nil {
			p.src.Problem("document", 1)
			p.feed.Commit() // an empty round follows: half a document is not served
			p.feed.Begin()
		}
	}
	p.feed.Commit()
	p.up.Store(err == nil)
	p.duration.Store(int64(time.Since(begin)))
	if err != nil {
		p.failures.Add(1)
		return fmt.Errorf("pull %s: %w", p.name, err)
	}
	p.success.Store(time.Now().UnixNano())
	return nil
}

type pullMetrics struct{ list []*pull }

// Describe implements prometheus.Collector.
func (m pullMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m pullMetrics) Collect(ch chan<- prometheus.Metric) {
	label := []string{"source"}
	put := func(name, help string, t prometheus.ValueType, v float64, source string) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, label, nil), t, v, source)
	}
	for _, p := range m.list {
		up := 0.0
		if p.up.Load() {
			up = 1
		}
		put("adapter_source_up", "Whether the last pull of the source succeeded.", prometheus.GaugeValue, up, p.name)
		put("adapter_source_duration_seconds", "How long the last pull took.", prometheus.GaugeValue, time.Duration(p.duration.Load()).Seconds(), p.name)
		put("adapter_source_last_success_timestamp_seconds", "When the source was last pulled.", prometheus.GaugeValue, float64(p.success.Load())/1e9, p.name)
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("adapter_source_errors_total", "Pulls that failed.", []string{"source", "reason"}, nil), prometheus.CounterValue, float64(p.failures.Load()), p.name, "pull")
	}
}

// Reload refuses: changed sources need a restart as yet.
func (p *pipeline) Reload(context.Context, *config.Config) error {
	return errors.New("reload: sources and rules change only with a restart")
}

// Drain serves until pushed samples have ceased.
func (p *pipeline) Drain(ctx context.Context, quiet time.Duration) error {
	_ = life.WaitQuiet(ctx, quiet, func() (last time.Time) {
		for _, push := range p.pushes {
			if t := push.LastActivity(); t.After(last) {
				last = t
			}
		}
		return last
	})
	return nil
}

func (p *pipeline) Close() error {
	p.cancel()
	p.work.Wait()
	return nil
}

func (p *pipeline) Done() <-chan struct{} { return nil }
func (p *pipeline) Err() error            { return nil }

func (p *pipeline) Status() admin.Status {
	s := admin.Status{Health: "ok", Headline: fmt.Sprintf("%d series from %d sources", p.store.Len(), len(p.pulls)+len(p.pushes))}
	rows := admin.Section{Title: "Sources", Columns: []string{"source", "series"}}
	for _, pl := range p.pulls {
		state := "ok"
		if !pl.up.Load() {
			state, s.Health = "warn", "warn"
		}
		rows.Rows = append(rows.Rows, admin.Row{State: state, Cells: []string{pl.name, fmt.Sprint(pl.src.Len())}})
	}
	s.Sections = []admin.Section{rows}
	return s
}
