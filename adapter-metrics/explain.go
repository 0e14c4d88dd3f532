package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit"
	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
)

// explain reads what a source would read from standard input and shows, value by value, which rule it met and what it
// became, or of a log line by line; then the page, and what a linter says of it.
func explain(ctx context.Context, c *config.Config, in kit.Invocation) error {
	name := ""
	if len(in.Args) > 0 {
		name = in.Args[0]
	}
	r, err := rehearse(ctx, c, name, in.Env)
	if err != nil {
		return err
	}
	var input []byte
	if r.source.config.Resources == nil {
		if input, err = io.ReadAll(io.LimitReader(in.Stdin, maxInput)); err != nil {
			return err
		}
	}
	if input, err = orLastLines(in.Stdout, &r.source.config, input); err != nil {
		return err
	}
	pl, err := r.pipeline.plan(&r.source.config, c.Prefix)
	if err != nil {
		return err
	}
	set, err := r.source.rules(pl)
	if err != nil {
		return err
	}
	e := &explainer{Walk: set.Walk(), set: set, out: in.Stdout}
	r.watch, r.pipeline.observe = e, e.mapper
	failed := r.play(ctx, input)
	all := fmt.Sprintf("%s: %d by a rule, %d by their path, %s that no rule wants", admin.Count(e.ruled+e.named+e.texts, "value"), e.ruled, e.named, admin.Count(e.texts, "text"))
	if d, ok := r.source.decoder.(*decode.Log); ok {
		all = explainLines(in.Stdout, d, r.source.config.Log, input)
	}
	page := r.page()
	if failed != nil {
		page = "" // half a document is never served
	}
	fmt.Fprintf(in.Stdout, "\n# %s\n%s", all, page)
	for _, p := range r.problems() {
		fmt.Fprintln(in.Stdout, "# problem:", p)
	}
	for _, p := range r.lint() {
		fmt.Fprintln(in.Stdout, "# lint:", p)
	}
	if failed != nil {
		return kit.Usage("explain: %v", failed)
	}
	return nil
}

type explainer struct {
	*rules.Walk
	set                 *rules.Set
	out                 io.Writer
	ruled, named, texts int
}

// Leaf implements decode.Walker.
func (e *explainer) Leaf(s *sample.Sample) {
	switch {
	case e.Match(s, func(o *rules.Outcome) { e.print(s, o, "rule "+o.Rule.Match+o.Rule.Regex) }):
		e.ruled++
	case s.Numeric || s.Metric != nil:
		e.named++
		o := e.Default(s)
		e.print(s, &o, e.unmatched(s))
	default:
		e.texts++
		fmt.Fprintf(e.out, "%s = %q  →  nothing  (a text, and no rule makes a number of it: map:, parse: or type: info%s)\n", path(s), s.Text, e.nearest(s))
	}
}

// unmatched says how a value that no rule wants got its name, and which rule came nearest.
func (e *explainer) unmatched(s *sample.Sample) string {
	if s.Metric != nil {
		return "no rule: passed through as it is" + e.nearest(s)
	}
	return "no rule: named by its path" + e.nearest(s)
}

func (e *explainer) nearest(s *sample.Sample) string {
	r, why := e.set.Nearest(s.Path)
	if r == nil {
		return ""
	}
	return "; nearest is " + r.Match + ", " + why
}

func (b both) Leaf(s *sample.Sample) { b[0].Leaf(s); b[1].Leaf(s) }

func (e *explainer) print(s *sample.Sample, o *rules.Outcome, why string) {
	switch {
	case o.Drop:
		fmt.Fprintf(e.out, "%s = %s  →  dropped  (%s)\n", path(s), s.Text, why)
	case !o.OK && s.Metric != nil && !s.Numeric:
		fmt.Fprintf(e.out, "%s  →  nothing  (%s, but its lines make no %s)\n", path(s), why, s.Kind)
	case !o.OK:
		fmt.Fprintf(e.out, "%s = %q  →  nothing  (%s, but it is no number)\n", path(s), s.Text, why)
	case o.Text != nil && !slices.Contains(o.Rule.States, string(o.Text)):
		fmt.Fprintf(e.out, "%s = %q  →  0 in all states  (%s, but it is none of them)\n", path(s), s.Text, why)
	case o.Text != nil:
		active := sample.Label{Name: o.Desc.Name, Value: o.Text}
		fmt.Fprintf(e.out, "%s = %s  →  %s 1  %s  (%s)\n", path(s), s.Text, metric(*o.Desc, append(slices.Clip(o.Labels), active)), o.Desc.Type, why)
	case o.Dist != nil:
		fmt.Fprintf(e.out, "%s = %d observations  →  %s  %s  (%s)\n", path(s), o.Dist.Count, metric(*o.Desc, o.Labels), o.Desc.Type, why)
	default:
		if o.Factor != 1 {
			why += fmt.Sprintf(", × %g", o.Factor)
		}
		fmt.Fprintf(e.out, "%s = %s  →  %s %g  %s  (%s)\n", path(s), s.Text, metric(*o.Desc, o.Labels), o.Value, o.Desc.Type, why)
	}
}

// mapper shows what happens to pushed names; each is mapped once, however many lines have it.
func (e *explainer) mapper(inner decode.Mapper) decode.Mapper { return &watched{e, inner} }

type watched struct {
	*explainer
	inner decode.Mapper // or nil
}

// Map implements decode.Mapper.
func (w *watched) Map(s *sample.Sample) (m decode.Mapping, ok bool) {
	if w.inner != nil {
		m, ok = w.inner.Map(s)
	}
	shown, why := m, "rule "+m.Rule
	if ok {
		w.ruled++
	} else {
		w.named++
		if why = w.unmatched(s); m.Desc.Name == "" {
			shown = decode.DefaultMapping(s)
		}
	}
	if m.Drop {
		fmt.Fprintf(w.out, "%s %s  →  dropped  (%s)\n", path(s), s.Kind, why)
	} else {
		fmt.Fprintf(w.out, "%s %s  →  %s  %s  (%s)\n", path(s), s.Kind, metric(shown.Desc, shown.Labels), shown.Desc.Type, why)
	}
	return m, ok
}

// metric is what a series will be called.
func metric(d series.Desc, labels []sample.Label) string {
	_ = d.Complete() // what is wrong with it is told as a problem
	if len(labels) == 0 {
		return d.Name
	}
	var parts []string
	for _, l := range labels {
		if len(l.Value) > 0 {
			parts = append(parts, fmt.Sprintf("%s=%q", l.Name, l.Value))
		}
	}
	return d.Name + "{" + strings.Join(parts, ",") + "}"
}

func path(s *sample.Sample) string {
	parts := make([]string, len(s.Path))
	for i, segment := range s.Path {
		parts[i] = strings.ReplaceAll(string(segment), ".", `\.`)
	}
	return strings.Join(parts, ".")
}
