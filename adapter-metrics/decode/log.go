package decode

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// A LogMetric is one entry of metrics: what lines of a log become. Without observe, add or set it counts lines.
type LogMetric struct {
	Name      string    `yaml:"name" doc:"Name of the metric."`
	Help      string    `yaml:"help,omitempty" doc:"A sentence that says what the metric is."`
	Labels    []string  `yaml:"labels,omitempty" doc:"Fields of the line that become labels."`
	Observe   string    `yaml:"observe,omitempty" doc:"Field whose values a histogram, or with quantiles a summary, observes."`
	Add       string    `yaml:"add,omitempty" doc:"Field whose values a counter adds up."`
	Set       string    `yaml:"set,omitempty" doc:"Field whose last value a gauge shows."`
	Scale     float64   `yaml:"scale,omitempty" doc:"Factor for the value."`
	Buckets   []float64 `yaml:"buckets,omitempty" doc:"Upper bounds of the histogram."`
	Quantiles []float64 `yaml:"quantiles,omitempty" doc:"Quantiles of a summary, between 0 and 1."`
}

// LogOptions say how lines are taken apart, by exactly one of Pattern, Regex and Format (json or logfmt), and what
// becomes of them.
type LogOptions struct {
	Pattern, Regex, Format string
	Metrics                []LogMetric
}

// Log makes counters, histograms and gauges of log lines. A line costs one pass over its bytes and one lookup
// for each distinct list of labels; known series allocate nothing. Safe for concurrent use.
type Log struct {
	store  *series.Store
	src    *series.Source
	parser lineParser
	fields []field // what parser sets, in its order
	groups []logGroup
	lines  atomic.Uint64

	mu     sync.Mutex
	values [][]byte
	key    []byte
}

// logGroup are the metrics with the same labels.
type logGroup struct {
	names   []string
	fields  []int
	metrics []logMetric
	known   map[string][]*series.Series
}

type logMetric struct {
	desc  series.Desc
	field int // or -1: count lines
	scale float64
}

// NewLog compiles the options. store and src may be nil when only the error is wanted.
func NewLog(store *series.Store, src *series.Source, o LogOptions) (*Log, error) {
	d := &Log{store: store, src: src}
	if err := d.compile(o); err != nil {
		return nil, err
	}
	d.values = make([][]byte, len(d.fields))
	wrong := make(MetricErrors, len(o.Metrics))
	for i, m := range o.Metrics {
		wrong[i] = d.metric(m)
	}
	if errors.Join(wrong...) != nil {
		return nil, wrong
	}
	return d, nil
}

// MetricErrors says what is wrong with each entry of metrics, nil where nothing is.
type MetricErrors []error

func (e MetricErrors) Error() string { return errors.Join(e...).Error() }

func (d *Log) compile(o LogOptions) (err error) {
	switch {
	case len(o.Metrics) == 0:
		return errors.New("no metrics: say what lines become")
	case o.Pattern != "" && o.Regex == "" && o.Format == "":
		d.parser, d.fields, err = parsePattern(o.Pattern)
		return err
	case o.Regex != "" && o.Pattern == "" && o.Format == "":
		d.parser, d.fields, err = parseExpression(o.Regex)
		return err
	case o.Format == "" || o.Pattern != "" || o.Regex != "":
		return errors.New("not exactly one of pattern, regex and format")
	}
	index := map[string]int{}
	for _, m := range o.Metrics {
		for _, name := range append([]string{m.Observe, m.Add, m.Set}, m.Labels...) {
			if _, known := index[name]; !known && name != "" {
				index[name] = len(d.fields)
				d.fields = append(d.fields, field{name: name, scale: 1})
			}
		}
	}
	d.parser = &jsonLine{index: index}
	if o.Format == "logfmt" {
		d.parser = &logfmtLine{index: index}
	}
	return nil
}

func (d *Log) metric(m LogMetric) error {
	find := func(name string) (int, error) {
		i := slices.IndexFunc(d.fields, func(f field) bool { return f.name == name })
		if i < 0 {
			return i, fmt.Errorf("a line has no field %s", name)
		}
		return i, nil
	}
	name := m.Observe + m.Add + m.Set
	switch {
	case m.Name == "":
		return errors.New("has no name")
	case name != cmp.Or(m.Observe, m.Add, m.Set):
		return errors.New("has more than one of observe, add and set")
	case m.Observe == "" && len(m.Buckets)+len(m.Quantiles) > 0:
		return errors.New("buckets and quantiles go with observe only")
	case len(m.Buckets) > 0 && len(m.Quantiles) > 0:
		return errors.New("has both buckets and quantiles")
	case !series.ValidQuantiles(m.Quantiles):
		return errors.New("has a quantile that is not between 0 and 1")
	}
	out := logMetric{field: -1, scale: 1, desc: series.Desc{Name: m.Name, Help: m.Help, Type: series.Counter, Quantiles: m.Quantiles}}
	if name != "" {
		var err error
		if out.field, err = find(name); err != nil {
			return err
		}
		out.scale = d.fields[out.field].scale
	}
	if m.Scale != 0 {
		out.scale *= m.Scale
	}
	switch {
	case m.Observe != "" && len(m.Quantiles) > 0:
		out.desc.Type = series.Summary
	case m.Observe != "":
		out.desc.Type = series.Histogram
	case m.Set != "":
		out.desc.Type = series.Gauge
	}
	if len(m.Buckets) > 0 {
		out.desc.Buckets = series.NewBuckets(m.Buckets)
	}
	if out.desc.Help == "" {
		out.desc.Help = "Lines of the log."
		if out.field >= 0 {
			out.desc.Help = "Field " + d.fields[out.field].name + " of lines of the log."
		}
	}
	out.desc.Unit = unitOfName(m.Name)
	group := slices.IndexFunc(d.groups, func(g logGroup) bool { return slices.Equal(g.names, m.Labels) })
	if group < 0 {
		g := logGroup{names: m.Labels, known: map[string][]*series.Series{}}
		for _, l := range m.Labels {
			i, err := find(l)
			if err != nil {
				return err
			}
			g.fields = append(g.fields, i)
		}
		group, d.groups = len(d.groups), append(d.groups, g)
	}
	d.groups[group].metrics = append(d.groups[group].metrics, out)
	return nil
}

// unitOfName is the base unit that a name ends in.
func unitOfName(name string) string {
	for _, u := range []string{"seconds", "bytes", "ratio"} {
		if strings.HasSuffix(strings.TrimSuffix(name, "_total"), "_"+u) {
			return u
		}
	}
	return ""
}

// Lines returns how many lines came in, good ones and bad ones.
func (d *Log) Lines() uint64 { return d.lines.Load() }

// Decode takes one or more whole lines. It keeps nothing of p.
func (d *Log) Decode(p []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lines, good uint64
	for len(p) > 0 {
		var line []byte
		if line, p = nextLine(p); len(line) == 0 {
			continue
		}
		lines++
		if !d.parser.parse(line, d.values) {
			d.src.Problem(whyFormat, 1)
			continue
		}
		good++
		for i := range d.groups {
			d.count(&d.groups[i])
		}
	}
	d.lines.Add(lines)
	d.src.Samples.Add(good)
}

// count updates the metrics of a group with the line in d.values.
func (d *Log) count(g *logGroup) {
	d.key = d.key[:0]
	for _, f := range g.fields {
		d.key = append(append(d.key, d.values[f]...), 0)
	}
	list := g.known[string(d.key)]
	if list == nil {
		if list = d.resolve(g); list == nil {
			return
		}
	}
	for i := range g.metrics {
		m, x := &g.metrics[i], list[i]
		if x == nil {
			continue
		}
		v, has, ok := d.value(m)
		if !has {
			continue
		}
		if !ok {
			d.src.Problem(whyValue, 1)
			continue
		}
		if !apply(x, m.desc.Type, v) {
			if x.Removed() {
				delete(g.known, string(d.key))
			} else {
				d.src.Problem(whyValue, 1)
			}
		}
	}
}

// value is what a metric takes from the line in d.values; has is false when the line has no such value.
func (d *Log) value(m *logMetric) (v float64, has, ok bool) {
	if m.field < 0 {
		return 1, true, true
	}
	text := d.values[m.field]
	if len(text) == 0 || len(text) == 1 && text[0] == '-' {
		return 0, false, false
	}
	v, ok = parseNumber(text)
	return v * m.scale, true, ok
}

func apply(x *series.Series, t series.Type, v float64) bool {
	switch t {
	case series.Gauge:
		return x.Set(v)
	case series.Counter:
		return x.Add(v)
	}
	return x.Observe(v, 1)
}

// resolve finds or makes the series of a group for the labels in d.values. What is refused stays nil. Past a limit,
// lines of new labels come here each time: what they would be known by is not kept.
func (d *Log) resolve(g *logGroup) []*series.Series {
	labels := d.labels(g)
	list, keep := make([]*series.Series, len(g.metrics)), true
	for i := range g.metrics {
		f, err := d.store.Family(g.metrics[i].desc)
		if err == nil {
			list[i], err = f.Series(d.src, labels...)
		}
		if err != nil {
			d.src.Problem(whyRefused, 1)
			keep = false
		} else if list[i].Other() {
			keep = false
		}
	}
	if keep {
		g.known[string(d.key)] = list
	}
	return list
}

// labels are those of a group for the line in d.values.
func (d *Log) labels(g *logGroup) []sample.Label {
	out := make([]sample.Label, len(g.names))
	for i, n := range g.names {
		out[i] = sample.Label{Name: labelName([]byte(n)), Value: d.values[g.fields[i]]}
	}
	return out
}
