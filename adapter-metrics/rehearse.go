package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit"
)

// A rehearsal is one source that is fed by hand: the same plan, rules, store and page as at work, and no network.
type rehearsal struct {
	pipeline *pipeline
	source   *running
	refused  []error
	// watch, when set, sees each value of a document before the rules get it.
	watch decode.Walker
}

// rehearse makes the source called name ready; the first one without a name.
func rehearse(ctx context.Context, c *config.Config, name string, env kit.Env) (*rehearsal, error) {
	s := &c.Sources[0]
	for i := range c.Sources {
		if c.Sources[i].Name == name {
			s = &c.Sources[i]
		}
	}
	if name != "" && s.Name != name {
		return nil, kit.Usage("there is no source called %q", name)
	}
	r := &rehearsal{pipeline: &pipeline{env: env, ctx: ctx}, source: &running{config: *s, prefix: c.Prefix}}
	r.pipeline.store = series.New(series.Options{ReservedPrefix: reservedPrefix, Refused: func(err error) { r.refused = append(r.refused, err) }})
	return r, nil
}

// play feeds the input. An error says that it is no document of that kind.
func (r *rehearsal) play(ctx context.Context, input []byte) error {
	pl, err := r.pipeline.plan(&r.source.config, r.source.prefix)
	if err == nil {
		err = r.source.compile(r.pipeline, pl)
	}
	if err != nil {
		return err
	}
	if r.source.pull == nil {
		r.source.decoder.Decode(input)
		return nil
	}
	if r.source.config.Resources != nil { // its document is this machine
		if input, err = pl.fetch.Fetch(ctx, nil); err != nil {
			return err
		}
	}
	feed := r.source.pull.feed
	feed.Begin()
	defer feed.Commit()
	if r.watch == nil {
		return pl.decode(ctx, input, feed)
	}
	return pl.decode(ctx, input, both{r.watch, feed})
}

// both leads two walkers through one document.
type both [2]decode.Walker

func (b both) Push(segment []byte) { b[0].Push(segment); b[1].Push(segment) }
func (b both) Pop()                { b[0].Pop(); b[1].Pop() }

// page is what Prometheus would get, without the helper's own metrics.
func (r *rehearsal) page() string {
	var b bytes.Buffer
	_ = expose.New(r.pipeline.store, nil, nil).Write(&b, expfmt.NewFormat(expfmt.TypeTextPlain)) // a buffer takes everything
	return b.String()
}

// problems are what went wrong on the way to the page.
func (r *rehearsal) problems() (out []string) {
	for _, err := range r.refused {
		out = append(out, err.Error())
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(r.pipeline.store)
	own, _ := registry.Gather()
	for _, f := range own {
		if f.GetName() != "adapter_parse_errors_total" && f.GetName() != "adapter_series_limited_total" {
			continue
		}
		for _, m := range f.Metric {
			reason := ""
			for _, l := range m.Label {
				if l.GetName() == "reason" {
					reason = l.GetValue()
				}
			}
			out = append(out, fmt.Sprintf("%g times: %s", m.GetCounter().GetValue(), reason))
		}
	}
	return out
}

// lint is what promlint says of the page.
func (r *rehearsal) lint() (out []string) {
	found, err := promlint.New(strings.NewReader(excerpt(r.page()))).Lint()
	if err != nil {
		out = append(out, err.Error())
	}
	for _, p := range found {
		out = append(out, p.Metric+": "+p.Text)
	}
	return out
}

// excerpt is a page with the first series of each family: the linter compares every series with every other one.
func excerpt(page string) string {
	var b strings.Builder
	n := 0
	for line := range strings.Lines(page) {
		if n++; line[0] == '#' {
			n = 0
		}
		if n <= 100 {
			b.WriteString(line)
		}
	}
	return b.String()
}
