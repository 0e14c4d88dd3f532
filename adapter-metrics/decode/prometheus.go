package decode

import (
	"bytes"
	"strconv"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// Prometheus decodes the text format 0.0.4 and OpenMetrics 1.0, line by line. The path is the sample's name, one
// segment; its labels come along and time stamps and exemplars do not. A page is often 10 000 lines and in the
// way of a scrape, so no tree of families is built.
func Prometheus(doc []byte, to Walker) error {
	p := exposition{}
	found := false
	for line := range bytes.Lines(doc) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if line[0] == '#' {
			found = p.comment(line) || found
			continue
		}
		name, ok := p.sample(line)
		if !ok {
			return errForeign
		}
		found = true
		to.Push(name)
		to.Leaf(&p.now)
		to.Pop()
	}
	if !found {
		return errForeign
	}
	return nil
}

type exposition struct {
	family []byte // of the last TYPE
	kind   sample.Kind
	labels []sample.Label
	now    sample.Sample
}

// comment reads # TYPE and reports whether the line belongs to a page.
func (p *exposition) comment(line []byte) bool {
	words := bytes.Fields(line)
	if len(words) == 4 && string(words[1]) == "TYPE" {
		p.family, p.kind = words[2], sample.Unknown
		switch string(words[3]) {
		case "counter":
			p.kind = sample.Total
		case "gauge":
			p.kind = sample.Gauge
		}
		return true
	}
	return len(words) > 1 && (string(words[1]) == "HELP" || string(words[1]) == "EOF")
}

// sample reads name{labels} value.
func (p *exposition) sample(line []byte) (name []byte, ok bool) {
	p.labels = p.labels[:0]
	end := bytes.IndexAny(line, "{ \t")
	if end <= 0 {
		return nil, false
	}
	name, rest := line[:end], line[end:]
	if rest[0] == '{' {
		if rest, ok = p.labelSet(rest[1:]); !ok {
			return nil, false
		}
	}
	words := bytes.Fields(rest)
	if len(words) == 0 {
		return nil, false
	}
	v, err := strconv.ParseFloat(string(words[0]), 64)
	if err != nil {
		return nil, false
	}
	kind := sample.Unknown
	if bytes.Equal(name, p.family) || bytes.Equal(bytes.TrimSuffix(name, []byte("_total")), p.family) {
		kind = p.kind
	}
	p.now = sample.Sample{Value: v, Numeric: true, Text: words[0], Kind: kind, Labels: p.labels}
	return name, true
}

// labelSet reads labels up to the closing brace and returns what follows it.
func (p *exposition) labelSet(b []byte) (rest []byte, ok bool) {
	for {
		if b = bytes.TrimLeft(b, ", \t"); len(b) > 0 && b[0] == '}' {
			return b[1:], true
		}
		name, after, ok := bytes.Cut(b, []byte("=\""))
		if !ok {
			return nil, false
		}
		value, after, ok := quoted(after)
		if !ok {
			return nil, false
		}
		p.labels = append(p.labels, sample.Label{Name: string(bytes.TrimSpace(name)), Value: value})
		b = after
	}
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

func unquote(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			if i++; b[i] == 'n' {
				out = append(out, '\n')
				continue
			}
		}
		out = append(out, b[i])
	}
	return out
}
