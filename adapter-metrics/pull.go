package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/source"
	"github.com/pod-helpers/pod-helpers/internal/kit/backoff"
)

// pull is one source that is read at each scrape, or at its own interval.
type pull struct {
	name     string
	fetch    source.Fetcher
	decode   decoder
	feed     *rules.Feed
	src      *series.Source
	buf      []byte
	up       atomic.Bool
	duration atomic.Int64
	success  atomic.Int64
	input    tap
	reason   string // why the last round failed
	changed  bool   // with that round

	mu     sync.Mutex
	errors map[string]uint64 // by reason
	why    string            // the last pull failed
}

// Pull implements expose.Puller: all sources without an interval at once, within ctx. It fails only when there is
// nothing but pull sources and every one of them is away.
func (p *pipeline) Pull(ctx context.Context) error {
	p.pulls.Lock()
	defer p.pulls.Unlock()
	now := *p.now.Load()
	errs := make([]error, len(now))
	var wg sync.WaitGroup
	for i, r := range now {
		if r.pull != nil && r.config.Interval == 0 {
			wg.Go(func() { errs[i] = r.pull.run(ctx) })
		}
	}
	wg.Wait()
	away := 0
	var gone []error // one record for all, as the log holds back what is similar
	for i, r := range now {
		if r.pull == nil {
			continue
		}
		if r.config.Interval == 0 {
			gone = append(gone, r.pull.news(errs[i], p.env.Log))
		}
		if !r.pull.up.Load() {
			away++
		}
	}
	if err := errors.Join(gone...); err != nil {
		p.env.Log.Warn("source absent", "error", err)
	}
	if away < len(now) {
		return nil
	}
	return errors.Join(append(errs, errAway)...)
}

// news is what is new about the end of a round: absent is a normal state, and not told at each scrape.
func (p *pull) news(err error, log *slog.Logger) error {
	if !p.changed {
		return nil
	}
	if err == nil {
		log.Info("source back", "source", p.name)
	}
	return err
}

var errAway = errors.New("every source is away")

// roundLimit is how long a pull of a long interval may take.
const roundLimit = time.Minute

// repeat runs the pull at once and then at every interval, each within it, until ctx ends. A source that is away is asked again
// sooner: it may have started by then.
func (p *pull) repeat(ctx context.Context, every time.Duration, log *slog.Logger) {
	retry := backoff.New(min(time.Second, every), every)
	for ctx.Err() == nil {
		begin := time.Now()
		round, cancel := context.WithTimeout(ctx, min(every, roundLimit))
		err := p.run(round)
		cancel()
		wait := every - time.Since(begin)
		if err == nil {
			retry.Reset()
		} else if ctx.Err() == nil {
			wait = retry.Next()
		}
		if err := p.news(err, log); err != nil && ctx.Err() == nil {
			log.Warn("source absent", "error", err)
		}
		_ = backoff.Sleep(ctx, wait) // the loop looks for the end itself
	}
}

// run is one round. After a failure the round is empty: neither an old value nor half a document is served.
func (p *pull) run(ctx context.Context) (err error) {
	begin := time.Now()
	p.buf, err = p.fetch.Fetch(ctx, p.buf[:0])
	reason := source.Reason(err)
	if reason == "too_large" {
		p.buf = nil // the next document may be small again
	}
	p.feed.Begin()
	if err == nil {
		p.input.keep(p.buf)
		if err = p.decode(ctx, p.buf, p.feed); err != nil {
			reason = "document"
			p.src.Problem(reason, 1)
			p.feed.Commit()
			p.feed.Begin()
		}
	}
	p.feed.Commit()
	p.up.Store(err == nil)
	p.duration.Store(int64(time.Since(begin)))
	p.reason, p.changed = reason, reason != p.reason
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why = ""; err != nil {
		p.errors[reason]++
		p.why = err.Error()
		return fmt.Errorf("pull %s: %w", p.name, err)
	}
	p.success.Store(time.Now().UnixNano())
	return nil
}

// state is what the status page says of the source.
func (p *pull) state() (word string, at time.Time, why string) {
	if n := p.success.Load(); n != 0 {
		at = time.Unix(0, n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.up.Load() {
		return "up", at, p.why
	}
	return "absent", at, p.why
}

// pullMetrics are the helper's own metrics about pull sources.
type pullMetrics struct{ *pipeline }

// Describe implements prometheus.Collector. It names nothing: which sources there are changes with the configuration.
func (m pullMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m pullMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(name, help string, v float64, source string) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, []string{"source"}, nil), prometheus.GaugeValue, v, source)
	}
	failed := prometheus.NewDesc("adapter_source_errors_total", "Pulls that failed, by source and reason.", []string{"source", "reason"}, nil)
	for _, r := range *m.now.Load() {
		p := r.pull
		if p == nil {
			continue
		}
		up := 0.0
		if p.up.Load() {
			up = 1
		}
		gauge("adapter_source_up", "Whether the last pull of the source succeeded.", up, p.name)
		gauge("adapter_source_duration_seconds", "How long the last pull took.", time.Duration(p.duration.Load()).Seconds(), p.name)
		gauge("adapter_source_last_success_timestamp_seconds", "When the source was last pulled with success, 0 for never.", float64(p.success.Load())/1e9, p.name)
		p.mu.Lock()
		reasons := maps.Clone(p.errors)
		p.mu.Unlock()
		for reason, n := range reasons {
			ch <- prometheus.MustNewConstMetric(failed, prometheus.CounterValue, float64(n), p.name, reason)
		}
	}
}
