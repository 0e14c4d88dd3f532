package rules

import (
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// kindType is the type that a sample of that kind has where its rule names none.
func kindType(k sample.Kind, guessed series.Type) series.Type {
	switch k {
	case sample.Counter, sample.Total:
		return series.Counter
	case sample.Timer, sample.Distribution, sample.Histogram:
		return series.Histogram
	case sample.Summary:
		return series.Summary
	case sample.Info:
		return series.Info
	case sample.State:
		return series.StateSet
	case sample.Untyped:
		if guessed == series.Gauge {
			return series.Untyped
		}
	}
	return guessed
}

// describe lets a metric that was one before keep what its rule does not change: its type as far as the new name allows,
// its help and its unit.
func (w *Walk) describe(s *sample.Sample, r *Rule) {
	d := &w.desc
	if r.Help == "" && s.Metric.Help != "" {
		d.Help = s.Metric.Help
	}
	if d.Unit = baseUnit(d.Name); d.Unit == "" && s.Metric.Unit != "" && hasUnit(d.Name, s.Metric.Unit) {
		d.Unit = s.Metric.Unit
	}
	if r.Type != "" {
		return
	}
	switch total := strings.HasSuffix(d.Name, "_total"); {
	case s.Kind == sample.Total && !total && r.Name == "":
		d.Type = series.Untyped // OpenMetrics has no counter of that name, and dashboards know the name
	case s.Kind == sample.Gauge && total && r.Name == "":
		d.Type = series.Gauge
	case s.Kind == sample.State:
		for i := range w.labels {
			if w.labels[i].Name == string(s.Path[0]) {
				w.labels[i].Name = d.Name // the label that tells the states apart is called like the metric
			}
		}
	}
}

func hasUnit(name, unit string) bool {
	return strings.HasSuffix(strings.TrimSuffix(name, "_total"), "_"+unit)
}

// Default names a number that no rule describes.
func (w *Walk) Default(s *sample.Sample) Outcome {
	if s.Metric != nil {
		return w.asItIs(s)
	}
	name, labels := nameOf(w.set.prefix, s.Path)
	o := Outcome{Value: s.Value, OK: s.Numeric, Factor: 1}
	if stem, u, ok := unitSuffix(name); ok {
		name, o.Factor = withUnit(stem, u.base), u.factor
		o.Value = times(o.Value, u.factor)
	}
	w.desc = series.Desc{Name: harmless(name), Type: series.Gauge, Help: "Value at " + string(join(s.Path)) + " of the source."}
	if len(labels) > 0 {
		w.desc.Help = "Values of that name in the source's document."
	}
	if len(name) > 6 && name[len(name)-6:] == "_total" {
		w.desc.Type = series.Counter
	}
	w.desc.Unit = baseUnit(w.desc.Name)
	o.Desc, o.Labels = &w.desc, append(labels, s.Labels...)
	return o
}

// asItIs passes a metric through that was one before.
func (w *Walk) asItIs(s *sample.Sample) Outcome {
	w.desc = series.Desc{Name: string(join(s.Path)), Type: kindType(s.Kind, series.Gauge), Help: "Passed through as the source has it."}
	w.labels = append(w.labels[:0], s.Labels...)
	w.describe(s, &Rule{})
	o := Outcome{Value: s.Value, OK: s.Numeric, Factor: 1, Desc: &w.desc, Labels: w.labels}
	switch s.Kind {
	case sample.Histogram, sample.Summary:
		o.Dist, o.OK = s.Dist, s.Dist != nil
	case sample.State:
		o.OK = s.Value == 0 || s.Value == 1
	}
	return o
}
