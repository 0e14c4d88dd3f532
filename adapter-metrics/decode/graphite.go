package decode

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// Graphite decodes carbon's plaintext protocol, "path value timestamp", with tags as in
// "path;tag=value". Values are gauges unless rules say otherwise; time stamps are ignored,
// as the page shows the present. Safe for concurrent use.
type Graphite struct {
	resolver
	lines atomic.Uint64
	mu    sync.Mutex
	cache cache
}

// NewGraphite returns a decoder whose series belong to src. mapper may be nil.
func NewGraphite(store *series.Store, src *series.Source, mapper Mapper) *Graphite {
	return &Graphite{
		resolver: resolver{store: store, src: src, mapper: mapper},
		cache:    newCache(2*store.Limits().PerSource + 1024),
	}
}

// Lines returns how many lines came in, good ones and bad ones.
func (d *Graphite) Lines() uint64 { return d.lines.Load() }

// Decode takes one or more whole lines. It keeps nothing of p.
func (d *Graphite) Decode(p []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for line := range bytes.SplitSeq(p, []byte{'\n'}) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		d.lines.Add(1)
		if why := d.line(line); why != "" {
			d.src.Problem(why, 1)
		} else {
			d.src.Samples.Add(1)
		}
	}
}

func (d *Graphite) line(line []byte) string {
	space := bytes.IndexAny(line, " \t")
	if space <= 0 {
		return whyFormat
	}
	path, value := line[:space], bytes.TrimLeft(line[space:], " \t")
	if i := bytes.IndexAny(value, " \t"); i >= 0 {
		value = value[:i]
	}
	v, ok := parseNumber(value)
	if !ok {
		return badNumber(value)
	}
	if r := d.cache.find(path, nil); r != nil && !r.stale() {
		if r.op == opDrop {
			return ""
		}
		return r.update(v, value[0])
	}
	r, why := d.resolveGraphite(path, value, v)
	if why != "" || r.op == opDrop {
		if why == "" {
			d.cache.put(path, nil, r)
		}
		return why
	}
	d.cache.put(path, nil, r)
	return r.update(v, value[0])
}

func (d *Graphite) resolveGraphite(path, value []byte, v float64) (record, string) {
	if d.read(path, value, v); len(d.sample.Path) == 0 {
		return record{}, whyFormat
	}
	r, why := d.target()
	return r.graphite(), why
}

// read makes a sample of a line.
func (d *Graphite) read(path, value []byte, v float64) {
	d.sample = sample.Sample{Kind: sample.Gauge, Path: d.sample.Path[:0], Labels: d.sample.Labels[:0], Text: value, Value: v, Numeric: true}
	name, tags, _ := bytes.Cut(path, []byte{';'})
	for tag := range bytes.SplitSeq(tags, []byte{';'}) {
		if n, val, ok := bytes.Cut(tag, []byte{'='}); ok && len(n) > 0 {
			d.sample.Labels = append(d.sample.Labels, sample.Label{Name: labelName(n), Value: val})
		}
	}
	d.path(name)
}

// graphite makes a signed number just that, and a counter's its total.
func (r record) graphite() record {
	if r.op == opGauge || r.op == opAdd {
		r.op = opSetOnly
	}
	return r
}
