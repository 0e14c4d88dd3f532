package decode

import (
	"bytes"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// resolver turns a name that is seen first into a series.
type resolver struct {
	store  *series.Store
	src    *series.Source
	mapper Mapper
	sample sample.Sample // used again for each name
}

// kindOf is the table of StatsD types.
func kindOf(t []byte) (sample.Kind, bool) {
	switch string(t) {
	case "c":
		return sample.Counter, true
	case "g":
		return sample.Gauge, true
	case "ms":
		return sample.Timer, true
	case "h", "d":
		return sample.Distribution, true
	case "s":
		return sample.Set, true
	}
	return 0, false
}

// resolve parses everything but the value and finds or makes the series.
func (d *resolver) resolve(name, value, suffix []byte) (record, string) {
	rate, why := d.read(name, value, suffix)
	if why != "" {
		return record{}, why
	}
	r, why := d.target()
	if why != "" || r.op == opDrop {
		return r, why
	}
	if why := r.sampled(d.sample.Kind, rate); why != "" {
		return record{}, why
	}
	return r, ""
}

// read makes a sample of a line.
func (d *resolver) read(name, value, suffix []byte) (rate float64, why string) {
	d.sample = sample.Sample{Path: d.sample.Path[:0], Labels: d.sample.Labels[:0], Text: value}
	typ, fields, _ := bytes.Cut(suffix[1:], []byte{'|'})
	kind, ok := kindOf(typ)
	if !ok {
		return 0, whyType
	}
	d.sample.Kind = kind
	d.sample.Value, d.sample.Numeric = parseNumber(value)
	if !d.sample.Numeric && kind != sample.Set && !packed(value) {
		return 0, badNumber(value) // before there is a series that never had a value
	}
	if d.path(d.nameTags(name)); len(d.sample.Path) == 0 {
		return 0, whyFormat
	}
	if rate, ok = d.fields(fields); !ok {
		return 0, whyRate
	}
	return rate, ""
}

// packed reports whether one of several values is a number.
func packed(values []byte) bool {
	for part := range bytes.SplitSeq(values, []byte{':'}) {
		if _, ok := parseNumber(part); ok {
			return true
		}
	}
	return false
}

// sampled lets one value of a record stand for all that a client left out.
func (r *record) sampled(kind sample.Kind, rate float64) (why string) {
	switch kind {
	case sample.Counter:
		r.scale /= rate
	case sample.Timer, sample.Distribution:
		if r.weight = 1 / rate; r.weight > series.MaxWeight {
			return whyRate
		}
	}
	return ""
}

// fields reads the optional parts of a line after its type: the sampling rate and tags.
// Whatever else there is (c: e: card: and what later versions bring) says nothing about
// the value, so it never costs the sample.
func (d *resolver) fields(b []byte) (rate float64, ok bool) {
	rate = 1
	for part := range bytes.SplitSeq(b, []byte{'|'}) {
		if len(part) < 2 {
			continue
		}
		switch part[0] {
		case '@':
			if rate, ok = parseNumber(part[1:]); !ok || rate <= 0 || rate > 1 {
				return 0, false
			}
		case '#':
			d.tags(part[1:], ":")
		}
	}
	return rate, true
}

// tags adds tags like a:b,c; a tag without a value is "true".
func (d *resolver) tags(b []byte, separators string) {
	for tag := range bytes.SplitSeq(b, []byte{','}) {
		if len(tag) == 0 {
			continue
		}
		name, value := tag, []byte("true")
		if i := bytes.IndexAny(tag, separators); i >= 0 {
			name, value = tag[:i], tag[i+1:]
		}
		d.sample.Labels = append(d.sample.Labels, sample.Label{Name: labelName(name), Value: value})
	}
}

// nameTags cuts tags out of a name: name,a=b (InfluxDB), name#a=b (Librato) and
// na[a=b]me (SignalFx).
func (d *resolver) nameTags(name []byte) []byte {
	i := bytes.IndexAny(name, ",#[")
	if i < 0 {
		return name
	}
	if name[i] != '[' {
		d.tags(name[i+1:], "=:")
		return name[:i]
	}
	end := bytes.IndexByte(name[i:], ']')
	if end < 0 {
		return name
	}
	d.tags(name[i+1:i+end], "=:")
	return append(name[:i:i], name[i+end+1:]...)
}

func (d *resolver) path(name []byte) {
	for seg := range bytes.SplitSeq(name, []byte{'.'}) {
		if len(seg) > 0 {
			d.sample.Path = append(d.sample.Path, seg)
		}
	}
}

// target asks the rules, else the default naming, and gets the series.
func (d *resolver) target() (record, string) {
	m, matched := d.mapping()
	if !matched && d.mapper != nil {
		d.src.Unmatched.Add(1)
	}
	if m.Drop {
		return record{op: opDrop}, ""
	}
	f, err := d.store.Family(m.Desc)
	if err != nil {
		return record{}, whyRefused
	}
	x, err := f.Series(d.src, m.Labels...)
	if err != nil {
		return record{}, whyRefused
	}
	return d.record(x, m.Scale), ""
}

// mapping is where the sample goes, and whether a rule said so.
func (d *resolver) mapping() (m Mapping, matched bool) {
	if d.mapper != nil {
		m, matched = d.mapper.Map(&d.sample)
	}
	if !matched && m.Desc.Name == "" {
		m = DefaultMapping(&d.sample)
	}
	if d.sample.Kind == sample.Set {
		m.Desc.Type, m.Desc.Distinct = series.Gauge, true
	}
	return m, matched
}

// record is what the sample does to a series.
func (d *resolver) record(x *series.Series, scale float64) record {
	r := record{x: x, scale: 1, weight: 1, op: operation(d.sample.Kind, x.Family().Desc().Type)}
	if scale != 0 {
		r.scale = scale
	}
	if d.sample.Kind == sample.Timer {
		r.scale /= 1000
	}
	return r
}

// operation is what a value of some kind does to a series of some type: rules may turn a
// counter into a gauge, or a gauge into a histogram.
func operation(k sample.Kind, t series.Type) op {
	switch {
	case k == sample.Set:
		return opSet
	case t == series.Histogram || t == series.Summary:
		return opObserve
	case t == series.Counter || k == sample.Counter:
		return opAdd
	}
	return opGauge
}

// DefaultMapping names a pushed sample without rules: the path in snake case, _total on
// counters, timers as histograms in seconds; all events are one metric, and so are all service checks. A gauge whose name ends like a part of another type
// gets _current, so that no reader takes it for one.
func DefaultMapping(s *sample.Sample) Mapping {
	m := Mapping{Labels: s.Labels, Desc: series.Desc{Name: snake(s.Path)}}
	switch s.Kind {
	case sample.Counter:
		m.Desc.Type, m.Desc.Help = series.Counter, "StatsD counter of that name."
	case sample.Timer:
		m.Desc.Type, m.Desc.Unit, m.Desc.Help = series.Histogram, "seconds", "StatsD timer of that name."
		for _, unit := range []string{"_seconds", "_milliseconds", "_millis", "_msec", "_ms"} {
			m.Desc.Name = strings.TrimSuffix(m.Desc.Name, unit)
		}
		m.Desc.Name += "_seconds"
	case sample.Distribution:
		m.Desc.Type, m.Desc.Help = series.Histogram, "DogStatsD histogram or distribution of that name."
	case sample.Event:
		m.Desc = series.Desc{Name: "statsd_events_total", Type: series.Counter, Help: "DogStatsD events, by type and priority."}
	case sample.Check:
		m.Desc = series.Desc{Name: "statsd_service_check_status", Type: series.Gauge, Help: "DogStatsD service checks: 0 is ok, 1 warning, 2 critical, 3 unknown."}
	case sample.Set:
		m.Desc.Type, m.Desc.Help = series.Gauge, "StatsD set of that name: distinct members in the last minute."
	default:
		m.Desc.Type, m.Desc.Help = series.Gauge, "Last value received under that name."
	}
	if m.Desc.Type != series.Counter {
		for _, suffix := range []string{"_total", "_count", "_sum", "_bucket", "_info", "_created"} {
			if strings.HasSuffix(m.Desc.Name, suffix) {
				m.Desc.Name += "_current"
			}
		}
	}
	return m
}

// snake joins a path in snake case: shop.CheckoutTime becomes shop_checkout_time.
func snake(path [][]byte) string {
	var b []byte
	for _, seg := range path {
		if len(b) > 0 {
			b = append(b, '_')
		}
		b = sample.AppendSnake(b, seg)
	}
	if strings.HasPrefix(string(b), "__") {
		return "x" + string(b) // two underscores are reserved
	}
	return string(b)
}

// labelName replaces what a classic label name cannot have.
func labelName(b []byte) string {
	out := make([]byte, 0, len(b)+1)
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9':
			if i == 0 {
				out = append(out, '_')
			}
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		default:
			c = '_'
		}
		out = append(out, c)
	}
	return string(out)
}
