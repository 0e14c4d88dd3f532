package expose

import (
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// flushBytes is how much is collected before it goes out.
const flushBytes = 64 << 10

// page writes one exposition. It is used again by later scrapes.
type page struct {
	out         io.Writer
	err         error // of the first failed write; later ones are not tried
	flushed     bool  // a part of the page has gone out
	buf         []byte
	proto       bool
	openMetrics bool // of any version
	v2          bool // OpenMetrics 2.0
	created     bool // tell since when a series counts
	scheme      model.EscapingScheme

	names  names
	dist   series.Distribution
	labels []byte          // of one series, escaped
	body   []byte          // of one protobuf message
	seen   map[string]bool // escaped label sets of one family
}

// names is how the running family appears under the page's escaping.
type names struct {
	full, base string
	quoted     bool // the name needs quotes and stands between the braces
	rewrite    bool // labels are not as they were rendered at birth
}

func (p *page) start(w io.Writer, format expfmt.Format) {
	p.out, p.err, p.flushed, p.buf = w, nil, false, p.buf[:0]
	p.proto = format.FormatType() == expfmt.TypeProtoDelim
	p.openMetrics = format.FormatType() == expfmt.TypeOpenMetrics
	p.v2 = p.openMetrics && format.Version() == expfmt.OpenMetricsVersion_2_0_0
	p.scheme = format.ToEscapingScheme()
}

func (p *page) flush() {
	if p.err == nil && len(p.buf) > 0 {
		_, p.err = p.out.Write(p.buf)
		p.flushed = true
	}
	p.buf = p.buf[:0]
}

// Write implements io.Writer for what others encode: a small page goes out in one piece.
func (p *page) Write(b []byte) (int, error) {
	p.buf = append(p.buf, b...)
	if len(p.buf) >= flushBytes {
		p.flush()
	}
	return len(b), p.err
}

func (p *page) family(f *series.Family) {
	list := f.List()
	if p.err != nil || len(list) == 0 {
		return
	}
	p.name(f)
	if p.proto {
		p.protoFamily(f, list)
		return
	}
	p.head(f.Desc())
	for _, x := range list {
		if x.Removed() {
			continue
		}
		p.series(f.Desc(), x)
		if len(p.buf) >= flushBytes {
			p.flush()
		}
	}
}

// name works out the family's names. Most names fit the classic characters and most
// escapings leave those alone, so nothing is to be done.
func (p *page) name(f *series.Family) {
	d, plain := f.Desc(), f.Plain()
	p.names = names{full: d.Name, base: f.Base()}
	switch {
	case plain && p.scheme != model.DotsEscaping:
		return
	case p.scheme == model.NoEscaping:
		p.names.quoted = !model.LegacyValidation.IsValidMetricName(d.Name)
		return
	}
	clear(p.seen)
	p.names.rewrite = true
	p.names.full = model.EscapeName(d.Name, p.scheme)
	p.names.base = p.names.full
	switch d.Type {
	case series.Counter:
		p.names.base, _ = cutSuffix(p.names.full, "_total")
	case series.Info:
		p.names.base, _ = cutSuffix(p.names.full, "_info")
	}
}

// head writes the comment lines: # HELP, # TYPE and, in OpenMetrics, # UNIT.
func (p *page) head(d *series.Desc) {
	name, typ := p.names.full, d.Type.String()
	switch {
	case p.v2:
	case p.openMetrics:
		name = p.names.base
	default:
		switch d.Type {
		case series.Untyped:
			typ = "untyped"
		case series.Info, series.StateSet:
			typ = "gauge"
		}
	}
	p.comment("# TYPE ", name)
	p.buf = append(append(p.buf, typ...), '\n')
	if p.openMetrics && d.Unit != "" && d.Type != series.Info && d.Type != series.StateSet && (p.v2 || strings.HasSuffix(name, "_"+d.Unit)) {
		p.comment("# UNIT ", name)
		p.buf = append(append(p.buf, d.Unit...), '\n')
	}
	if d.Help == "" {
		return
	}
	p.comment("# HELP ", name)
	if p.openMetrics {
		p.buf = series.AppendEscaped(p.buf, d.Help)
	} else {
		p.buf = appendHelp(p.buf, d.Help)
	}
	p.buf = append(p.buf, '\n')
}

func (p *page) comment(kind, name string) {
	p.buf = append(p.buf, kind...)
	if p.names.quoted {
		p.buf = append(series.AppendEscaped(append(p.buf, '"'), name), '"')
	} else {
		p.buf = append(p.buf, name...)
	}
	p.buf = append(p.buf, ' ')
}

// appendHelp escapes as text 0.0.4 does: quotes stay.
func appendHelp(b []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case '\\':
			b = append(b, '\\', '\\')
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, s[i])
		}
	}
	return b
}

func (p *page) series(d *series.Desc, x *series.Series) {
	distribution := d.Type == series.Histogram || d.Type == series.Summary
	if !distribution && !p.names.rewrite { // nearly all series: nothing is taken apart
		p.buf = append(p.buf, x.Text()...)
		p.number(x)
		p.createdLine(x, "")
		return
	}
	labels := x.Labels()
	if p.names.rewrite {
		if !p.escape(labels) {
			return
		}
		labels = string(p.labels)
	}
	switch {
	case p.v2 && distribution:
		p.composite(d, x, labels)
	case d.Type == series.Histogram:
		p.histogram(d, x, labels)
	case d.Type == series.Summary:
		p.summary(x, labels)
	default:
		p.sample("", labels, "", "")
		p.number(x)
	}
	p.createdLine(x, labels)
}

// number ends the line of a series that is one number.
func (p *page) number(x *series.Series) {
	p.buf = appendValue(p.buf, x.Value())
	if p.v2 {
		p.startTimestamp(x)
	}
	p.buf = append(p.buf, '\n')
}

// createdLine tells since when a series counts as OpenMetrics 1.0 has it: by a sample of its own. Where names are not
// rewritten the labels are the series' own.
func (p *page) createdLine(x *series.Series, labels string) {
	if !p.created || !p.openMetrics || p.v2 {
		return
	}
	at := x.Started()
	if at == 0 {
		return
	}
	if !p.names.rewrite {
		labels = x.Labels()
	}
	full := p.names.full
	p.names.full = p.names.base
	p.sample("_created", labels, "", "")
	p.names.full = full
	p.count(uint64(at))
}

// escape puts a label set with escaped names into p.labels. It is false when the family
// has had that set: two names can become one.
func (p *page) escape(labels string) bool {
	p.labels = p.labels[:0]
	p.eachEscaped(labels, func(name, value string) {
		if len(p.labels) > 0 {
			p.labels = append(p.labels, ',')
		}
		p.labels = append(append(p.labels, name...), '=', '"')
		p.labels = append(series.AppendEscaped(p.labels, value), '"')
	})
	if p.seen[string(p.labels)] {
		return false
	}
	p.seen[string(p.labels)] = true
	return true
}

// eachEscaped yields labels with escaped names, the first of those that became equal.
func (p *page) eachEscaped(labels string, yield func(name, value string)) {
	var had []string
	series.EachLabel(labels, func(name, value string) {
		// EscapeName keeps colons, which metric names may have and label names may not.
		name = strings.ReplaceAll(model.EscapeName(name, p.scheme), ":", "_")
		if name == model.MetricNameLabel { // "0 name  " and "_name_" come to that
			name = "exported_name"
		}
		if !slices.Contains(had, name) {
			had = append(had, name)
			yield(name, value)
		}
	})
}

// sample writes name+suffix{labels,extra="value"} and a space.
func (p *page) sample(suffix, labels, extra, value string) {
	b, open := p.buf, false
	if p.names.quoted {
		b = series.AppendEscaped(append(b, '{', '"'), p.names.full)
		b = append(append(b, suffix...), '"')
		open = true
	} else {
		b = append(append(b, p.names.full...), suffix...)
	}
	if labels != "" {
		b = append(append(b, separator(open)), labels...)
		open = true
	}
	if extra != "" {
		b = append(append(b, separator(open)), extra...)
		b = append(append(append(b, '=', '"'), value...), '"')
		open = true
	}
	if open {
		b = append(b, '}')
	}
	p.buf = append(b, ' ')
}

func separator(open bool) byte {
	if open {
		return ','
	}
	return '{'
}

func (p *page) histogram(d *series.Desc, x *series.Series, labels string) {
	x.Distribution(&p.dist)
	bounds, rendered := d.Buckets.Bounds(), d.Buckets.Rendered(p.openMetrics)
	for i, pt := range p.dist.Points {
		le := ""
		if p.dist.Native && i < len(bounds) {
			le = rendered[i]
		} else {
			le = series.FormatBound(pt.At, p.openMetrics)
		}
		p.sample("_bucket", labels, "le", le)
		p.value(pt.Value)
	}
	p.sample("_bucket", labels, "le", "+Inf")
	p.count(p.dist.Count)
	if p.openMetrics && (p.dist.NoSum || p.dist.Sum < 0 || len(p.dist.Points) > 0 && p.dist.Points[0].At < 0) {
		return // OpenMetrics 1.0, "Histogram": neither sum nor count without the other, nor with negative buckets or values
	}
	p.sumAndCount(labels)
}

func (p *page) summary(x *series.Series, labels string) {
	x.Distribution(&p.dist)
	for _, pt := range p.dist.Points {
		if p.openMetrics && pt.Value < 0 {
			continue // OpenMetrics 1.0, "Summary": neither quantiles nor the sum can be negative
		}
		p.sample("", labels, "quantile", series.FormatBound(pt.At, p.openMetrics))
		p.value(pt.Value)
	}
	p.sumAndCount(labels)
}

func (p *page) sumAndCount(labels string) {
	if !p.dist.NoSum && (!p.openMetrics || p.dist.Sum >= 0) {
		p.sample("_sum", labels, "", "")
		p.value(p.dist.Sum)
	}
	if !p.dist.NoCount {
		p.sample("_count", labels, "", "")
		p.count(p.dist.Count)
	}
}

func (p *page) value(v float64) {
	p.buf = append(appendValue(p.buf, v), '\n')
}

func (p *page) count(n uint64) {
	p.buf = append(strconv.AppendUint(p.buf, n, 10), '\n')
}

// appendValue writes whole numbers without an exponent, and those with up to three decimals below a million without the search
// for the shortest text: of two texts of so few digits only one can be the number's.
func appendValue(b []byte, v float64) []byte {
	if i := int64(v); float64(i) == v && i > -1<<53 && i < 1<<53 && (i != 0 || !math.Signbit(v)) {
		return strconv.AppendInt(b, i, 10)
	}
	if v > 0 && v < 1e6 {
		if i := uint64(v*1000 + 0.5); float64(i)/1000 == v {
			return appendThousandths(b, i)
		}
	}
	if math.IsInf(v, 1) {
		return append(b, "+Inf"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// appendThousandths writes i/1000, which is no whole number.
func appendThousandths(b []byte, i uint64) []byte {
	b = append(strconv.AppendUint(b, i/1000, 10), '.', byte('0'+i/100%10), byte('0'+i/10%10), byte('0'+i%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}
