// Package judge holds pages against what reads them. Only tests import it.
package judge

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// OpenMetrics says why a strict reader of OpenMetrics 1.0 refuses a page whose names are classic; nil when it takes it. It
// knows the MUSTs that data could break, so that fuzzing needs no other program.
func OpenMetrics(page string) error {
	r := reader{taken: map[string]string{}, families: map[string]bool{}, samples: map[string]bool{}}
	body, ok := strings.CutSuffix(page, "# EOF\n")
	if !ok {
		return fmt.Errorf("the page does not end with # EOF")
	}
	for line := range strings.Lines(body) {
		if err := r.line(strings.TrimSuffix(line, "\n")); err != nil {
			return fmt.Errorf("%w: %s", err, line)
		}
	}
	return r.end()
}

type reader struct {
	name, typ string
	groups    []group           // of the running family
	taken     map[string]string // names of families and of what belongs to them, by the family
	families  map[string]bool
	samples   map[string]bool
}

// group is one histogram or summary.
type group struct {
	labels            string
	last, below       float64 // bound and value of the last bucket
	count, sum        float64 // NaN when missing
	buckets, negative bool
}

var (
	comment = regexp.MustCompile(`^# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$`)
	sample  = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)
	label   = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)`)
)

func suffixes(typ string) []string {
	return map[string][]string{
		"counter": {"_total", "_created"}, "info": {"_info"}, "summary": {"", "_sum", "_count", "_created"},
		"histogram": {"_bucket", "_sum", "_count", "_created"}, "gauge": {""}, "unknown": {""}, "stateset": {""},
	}[typ]
}

func (r *reader) line(line string) error {
	if m := comment.FindStringSubmatch(line); m != nil {
		return r.comment(m[1], m[2], m[3])
	}
	m := sample.FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("no line of OpenMetrics")
	}
	v, err := strconv.ParseFloat(m[3], 64)
	if err != nil {
		return err
	}
	labels := map[string]string{}
	for rest := m[2]; rest != ""; {
		l := label.FindStringSubmatch(rest)
		if l == nil {
			return fmt.Errorf("bad labels")
		}
		if _, twice := labels[l[1]]; twice {
			return fmt.Errorf("label %s twice", l[1])
		}
		labels[l[1]], rest = l[2], rest[len(l[0]):]
	}
	if key := m[1] + "{" + m[2]; r.samples[key] {
		return fmt.Errorf("sample twice")
	} else {
		r.samples[key] = true
	}
	suffix, ok := strings.CutPrefix(m[1], r.name)
	if !ok || !slices.Contains(suffixes(r.typ), suffix) {
		return fmt.Errorf("a %s %s has no sample of that name", r.typ, r.name)
	}
	return r.value(suffix, labels, v)
}

// comment takes HELP, TYPE and UNIT in any order; the first one opens the family.
func (r *reader) comment(kind, name, text string) error {
	if name != r.name {
		if err := r.end(); err != nil {
			return err
		}
		if r.families[name] {
			return fmt.Errorf("family twice")
		}
		r.families[name] = true
		r.name, r.typ, r.groups = name, "unknown", nil
	} else if kind == "TYPE" && r.typ != "unknown" {
		return fmt.Errorf("type twice")
	}
	switch {
	case kind == "UNIT" && !strings.HasSuffix(name, "_"+text):
		return fmt.Errorf("the unit is not the name's suffix")
	case kind != "TYPE":
		return nil
	case suffixes(text) == nil:
		return fmt.Errorf("unknown type")
	}
	r.typ = text
	for _, s := range append(suffixes(text), "") {
		if by := r.taken[name+s]; by != "" && by != name {
			return fmt.Errorf("%s clashes with %s", name, by)
		}
		r.taken[name+s] = name
	}
	return nil
}

func (r *reader) value(suffix string, labels map[string]string, v float64) error {
	switch r.typ {
	case "info":
		if v != 1 {
			return fmt.Errorf("an info that is not 1")
		}
	case "stateset":
		if _, ok := labels[r.name]; !ok || v != 0 && v != 1 {
			return fmt.Errorf("no state")
		}
	case "counter":
		return counted(v)
	case "histogram", "summary":
		return r.grouped(suffix, labels, v)
	}
	return nil
}

func counted(v float64) error {
	if !(v >= 0) {
		return fmt.Errorf("what counts is negative or NaN")
	}
	return nil
}

func (r *reader) grouped(suffix string, labels map[string]string, v float64) error {
	at := math.NaN()
	for _, own := range []string{"le", "quantile"} {
		if text, ok := labels[own]; ok && (own == "le") == (r.typ == "histogram") {
			var err error
			if at, err = strconv.ParseFloat(text, 64); err != nil || !strings.ContainsAny(text, ".eInN") {
				return fmt.Errorf("no canonical float in %s", own)
			}
			delete(labels, own)
		}
	}
	key := fmt.Sprint(labels)
	if n := len(r.groups); n == 0 || r.groups[n-1].labels != key {
		if slices.ContainsFunc(r.groups, func(g group) bool { return g.labels == key }) {
			return fmt.Errorf("interleaved")
		}
		r.groups = append(r.groups, group{labels: key, count: math.NaN(), sum: math.NaN(), last: math.Inf(-1)})
	}
	g := &r.groups[len(r.groups)-1]
	switch suffix {
	case "_count":
		g.count = v
	case "_sum":
		g.sum = v
	case "":
		if !(at >= 0 && at <= 1) || v < 0 {
			return fmt.Errorf("no quantile")
		}
		return nil
	case "_bucket":
		if !(at > g.last || !g.buckets) || v < g.below {
			return fmt.Errorf("buckets out of order")
		}
		g.last, g.below, g.buckets, g.negative = at, v, true, g.negative || at < 0
	}
	return counted(v)
}

// end checks the family that is complete.
func (r *reader) end() error {
	for _, g := range r.groups {
		hasSum, hasCount := g.sum == g.sum, g.count == g.count
		switch {
		case r.typ == "summary":
		case !math.IsInf(g.last, 1):
			return fmt.Errorf("%s: no bucket +Inf", r.name)
		case hasSum != hasCount, hasSum && g.negative:
			return fmt.Errorf("%s: sum and count go together, and not with negative buckets", r.name)
		case hasCount && g.count != g.below:
			return fmt.Errorf("%s: the count is not that of +Inf", r.name)
		}
	}
	return nil
}
