package decode

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// Prometheus decodes the text format 0.0.4 and OpenMetrics 1.0, line by line. The path is the metric's name, one
// segment; type, help and unit come along, and labels, bounds and quantiles. Time stamps, exemplars and _created do not.
// A histogram or summary is one sample with all of its lines. A page is often 10 000 lines and in the way of a scrape, so
// no tree of families is built.
func Prometheus(doc []byte, to Walker) error {
	p := exposition{to: to}
	found, ended, n := false, false, 0
	for line := range bytes.Lines(doc) {
		n++
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0:
		case ended:
			return fmt.Errorf("decode Prometheus text: line %d: more after # EOF", n)
		case string(line) == "# EOF":
			found, ended = true, true
		case line[0] == '#':
			found = p.comment(line) || found
		case !p.sample(line):
			if !found {
				return errForeign
			}
			return fmt.Errorf("decode Prometheus text: line %d is no sample", n)
		default:
			found = true
		}
	}
	if !found {
		return errForeign
	}
	p.flush()
	return nil
}

// WholeOpenMetrics is an error for a page that calls itself OpenMetrics and ends before its # EOF: the rest has been lost on
// the way. Text 0.0.4 has no such mark.
func WholeOpenMetrics(contentType string, doc []byte) error {
	if !strings.HasPrefix(contentType, "application/openmetrics-text") || bytes.HasSuffix(bytes.TrimSpace(doc), []byte("# EOF")) {
		return nil
	}
	return errors.New("decode OpenMetrics: the page ends before # EOF")
}

// What no page has; more would only serve an attacker, as both are sorted.
const (
	maxLabels = 1000 // of a line
	maxPoints = 5000 // bounds of a histogram, quantiles of a summary
)

type exposition struct {
	to     Walker
	family []byte // that the comment lines are about
	kind   sample.Kind
	odd    bool // of a type that has no place here: its lines pass one by one
	about  sample.Metric
	groups groups
	labels []sample.Label
	now    sample.Sample
}

// comment reads # TYPE, # HELP and # UNIT, and reports whether it was one of them.
func (p *exposition) comment(line []byte) bool {
	word, rest := cutWord(line[1:])
	switch string(word) {
	case "TYPE", "HELP", "UNIT":
	default:
		return false
	}
	if line[1] != ' ' && line[1] != '\t' {
		return false // #TYPE is any comment
	}
	name, text := cutName(rest)
	if len(name) == 0 {
		return false
	}
	if !bytes.Equal(name, p.family) {
		p.flush()
		p.family, p.kind, p.odd, p.about = name, sample.Untyped, false, sample.Metric{}
	}
	switch string(word) {
	case "HELP":
		p.about.Help = string(unquote(text))
	case "UNIT":
		p.about.Unit = string(text)
	default:
		p.kind, p.odd = kindOfType(string(text))
	}
	return true
}

func kindOfType(name string) (k sample.Kind, odd bool) {
	switch name {
	case "counter":
		return sample.Total, false
	case "gauge":
		return sample.Gauge, false
	case "histogram":
		return sample.Histogram, false
	case "summary":
		return sample.Summary, false
	case "info":
		return sample.Info, false
	case "stateset":
		return sample.State, false
	case "gaugehistogram":
		return sample.Untyped, true
	}
	return sample.Untyped, false
}

// sample reads name{labels} value. Of what may follow it only makes sure that it is a time stamp or an exemplar.
func (p *exposition) sample(line []byte) bool {
	p.labels = p.labels[:0]
	end := bytes.IndexAny(line, "{ \t")
	if end < 0 {
		return false
	}
	name, rest := line[:end], bytes.TrimLeft(line[end:], " \t")
	if len(rest) > 0 && rest[0] == '{' {
		var quotedName []byte
		var ok bool
		if quotedName, rest, ok = p.labelSet(rest[1:]); !ok || (len(name) == 0) != (quotedName != nil) {
			return false
		}
		if quotedName != nil {
			name = quotedName
		}
	}
	if len(name) == 0 || name[0] == '<' {
		return false
	}
	text, rest := cutWord(rest)
	v, ok := expositionNumber(text)
	if !ok || !trailer(rest) {
		return false
	}
	p.place(name, text, v)
	return true
}

// trailer reports whether b is what may follow a value: a time stamp, an exemplar, both or nothing.
func trailer(b []byte) bool {
	if len(b) > 0 && b[0] != '#' {
		stamp, after := cutWord(b)
		if _, ok := expositionNumber(stamp); !ok {
			return false
		}
		b = after
	}
	return len(b) == 0 || b[0] == '#'
}

// place finds the family that a sample belongs to and hands it on, or keeps it until its histogram or summary is whole.
func (p *exposition) place(name, text []byte, v float64) {
	suffix, mine := bytes.CutPrefix(name, p.family)
	switch {
	case !mine || len(p.family) == 0 || !p.belongs(suffix):
		p.flush()
		p.family, p.kind, p.odd, p.about = name, sample.Untyped, false, sample.Metric{}
	case string(suffix) == "_created":
		return
	case p.kind == sample.Histogram || p.kind == sample.Summary:
		p.groups.add(p.kind, string(suffix), p.labels, v)
		return
	}
	p.now = sample.Sample{Value: v, Numeric: true, Text: text, Kind: p.kind, Labels: p.labels, Metric: &p.about}
	p.yield(name)
}

// belongs reports whether a sample of the family can have that suffix.
func (p *exposition) belongs(suffix []byte) bool {
	switch string(suffix) {
	case "":
		return p.kind != sample.Histogram
	case "_total":
		return p.kind == sample.Total
	case "_info":
		return p.kind == sample.Info
	case "_bucket":
		return p.kind == sample.Histogram || p.odd
	case "_sum", "_count":
		return p.kind == sample.Histogram || p.kind == sample.Summary
	case "_gsum", "_gcount":
		return p.odd
	case "_created":
		return p.kind == sample.Total || p.kind == sample.Histogram || p.kind == sample.Summary
	}
	return false
}

func (p *exposition) yield(name []byte) {
	p.to.Push(name)
	p.to.Leaf(&p.now)
	p.to.Pop()
}

// flush hands on the histograms or summaries of the family that ends.
func (p *exposition) flush() {
	for i := range p.groups.list {
		g := &p.groups.list[i]
		p.now = sample.Sample{Kind: p.kind, Labels: g.labels, Metric: &p.about, Dist: g.whole(p.kind)}
		p.yield(p.family)
	}
	p.groups.reset()
}

// labelSet reads labels up to the closing brace and returns what follows it. A text without an = is the metric's name, as
// names outside the classic characters are written.
func (p *exposition) labelSet(b []byte) (metric, rest []byte, ok bool) {
	for {
		if b = bytes.TrimLeft(b, ", \t"); len(b) > 0 && b[0] == '}' {
			return metric, b[1:], true
		}
		var name []byte
		if len(b) > 0 && b[0] == '"' {
			if name, b, ok = quoted(b[1:]); !ok {
				return nil, nil, false
			}
			if b = bytes.TrimLeft(b, " \t"); len(b) > 0 && b[0] != '=' && metric == nil {
				metric = name
				continue
			}
		} else {
			i := bytes.IndexByte(b, '=')
			if i <= 0 {
				return nil, nil, false
			}
			name, b = bytes.TrimSpace(b[:i]), b[i:]
		}
		if len(b) == 0 || b[0] != '=' {
			return nil, nil, false
		}
		if b = bytes.TrimLeft(b[1:], " \t"); len(b) == 0 || b[0] != '"' {
			return nil, nil, false
		}
		value, after, closed := quoted(b[1:])
		if !closed || len(p.labels) == maxLabels {
			return nil, nil, false
		}
		p.labels = append(p.labels, sample.Label{Name: string(name), Value: value})
		b = after
	}
}

// expositionNumber reads a number as both formats write it: decimal, NaN and infinities.
func expositionNumber(b []byte) (float64, bool) {
	if v, ok := integer(b); ok {
		return v, true
	}
	if bytes.ContainsAny(b, "xXpP_") {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil
}

func cutWord(b []byte) (word, rest []byte) {
	b = bytes.TrimLeft(b, " \t")
	if i := bytes.IndexAny(b, " \t"); i >= 0 {
		return b[:i], bytes.TrimLeft(b[i:], " \t")
	}
	return b, nil
}

// cutName cuts a metric's name, quoted or not, off the front.
func cutName(b []byte) (name, rest []byte) {
	if len(b) == 0 || b[0] != '"' {
		return cutWord(b)
	}
	name, rest, _ = quoted(b[1:])
	return name, bytes.TrimLeft(rest, " \t")
}

// quoted reads up to the closing quote. The value is a slice of b unless it has escapes.
func quoted(b []byte) (value, rest []byte, ok bool) {
	escaped := false
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			if escaped {
				return unquote(b[:i]), b[i+1:], true
			}
			return b[:i], b[i+1:], true
		}
	}
	return nil, nil, false
}

// unquote undoes the escapes \n, \" and \\; others stay as they are.
func unquote(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			switch b[i+1] {
			case 'n':
				out = append(out, '\n')
				i++
				continue
			case '\\', '"':
				i++
			}
		}
		out = append(out, b[i])
	}
	return out
}
