package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// compiled is a rule made ready.
type compiled struct {
	rule     *Rule
	segments []segment
	deepAt   int // index of ** in segments, or -1
	regex    *regexp.Regexp
	factor   float64
	parse    func(string) (float64, bool)
	desc     series.Desc
	fixed    bool // the name has no template
	labels   []label
	captures []string // that become labels by themselves
}

// label is one entry of labels:.
type label struct {
	name     string
	up       int    // levels above, for field
	field    string // sibling or ancestor; empty for a template
	template string
}

func compile(r *Rule) (*compiled, error) {
	c := &compiled{rule: r, factor: 1, deepAt: -1, parse: parser(r.Parse), fixed: !strings.Contains(r.Name, "{")}
	var err error
	if c.regex, err = compileRegex(r.Regex); err != nil {
		return nil, fmt.Errorf("compile rule %s: %w", r.Regex, err)
	}
	if c.regex == nil {
		if c.segments, err = parsePattern(r.Match); err != nil {
			return nil, fmt.Errorf("compile rule: %w", err)
		}
		c.deepAt = slices.IndexFunc(c.segments, func(s segment) bool { return s.any })
	}
	if r.Scale != 0 {
		c.factor = r.Scale
	}
	u, _ := unitOf(r.Unit)
	if r.Unit != "" {
		c.factor *= u.factor
	}
	c.desc = series.Desc{Name: withUnit(r.Name, u.base), Unit: u.base, Help: r.Help, Type: metricType(r.Type), TTL: ttl(r.TTL), Quantiles: r.Quantiles}
	if u.base == "" {
		c.desc.Unit = baseUnit(c.desc.Name)
	}
	if len(r.Buckets) > 0 {
		c.desc.Buckets = series.NewBuckets(r.Buckets)
	}
	if r.Type == "" {
		c.desc.Type = c.guess()
	}
	if c.desc.Help == "" {
		c.desc.Help = "Values at " + r.Match + r.Regex + " of the source."
	}
	c.compileLabels()
	return c, nil
}

// guess is the type that the name and the other keys imply; a sample's kind may still decide.
func (c *compiled) guess() series.Type {
	switch {
	case len(c.rule.Buckets) > 0:
		return series.Histogram
	case len(c.rule.Quantiles) > 0:
		return series.Summary
	case strings.HasSuffix(c.desc.Name, "_total"):
		return series.Counter
	}
	return series.Gauge
}

// baseUnit is the unit that a name ends in already.
func baseUnit(name string) string {
	stem := strings.TrimSuffix(name, "_total")
	for _, u := range []string{"seconds", "bytes", "ratio", "celsius", "volts", "joules", "meters"} {
		if strings.HasSuffix(stem, "_"+u) {
			return u
		}
	}
	return ""
}

func (c *compiled) compileLabels() {
	used := map[string]bool{}
	eachReference(c.rule.Name, func(ref string) { used[ref] = true })
	for _, name := range slices.Sorted(maps.Keys(c.rule.Labels)) {
		value := c.rule.Labels[name]
		l := label{name: name, template: value}
		if field, ok := strings.CutPrefix(value, "."); ok && len(value) > 1 {
			for strings.HasPrefix(field, ".") {
				l.up++
				field = field[1:]
			}
			l.field = field
		}
		eachReference(value, func(ref string) { used[ref] = true })
		c.labels = append(c.labels, l)
	}
	for _, name := range c.rule.captures() {
		if !used[name] && !numeric(name) {
			c.captures = append(c.captures, name)
		}
	}
}

func numeric(s string) bool { return strings.Trim(s, "0123456789") == "" }

// each calls visit with every named capture of a path that the rule matches.
func (c *compiled) each(path [][]byte, visit func(name string, text []byte)) {
	if c.regex != nil {
		joined := join(path)
		at := c.regex.FindSubmatchIndex(joined)
		for i := 0; 2*i < len(at); i++ { // 0 is the whole path
			if at[2*i] >= 0 {
				visit(groupName(c.regex, i), joined[at[2*i]:at[2*i+1]])
			}
		}
		return
	}
	for i, s := range c.segments {
		switch at := i; {
		case s.any:
		default:
			if c.deepAt >= 0 && i > c.deepAt {
				at = len(path) - len(c.segments) + i // what follows ** is counted from the end
			}
			s.match(path[at], func(part int, text []byte) {
				if n := s.parts[part].name; n != "" {
					visit(n, text)
				}
			})
		}
	}
}

// capture is the text of one capture.
func (c *compiled) capture(path [][]byte, name string) (text []byte) {
	c.each(path, func(n string, t []byte) {
		if n == name {
			text = t
		}
	})
	return text
}

// expand fills the references of a template.
func (c *compiled) expand(template string, s *sample.Sample) []byte {
	var out []byte
	for {
		before, rest, ok := strings.Cut(template, "{")
		out = append(out, before...)
		if !ok {
			return out
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return append(append(out, '{'), rest...)
		}
		if name == "value" {
			out = append(out, s.Text...)
		} else {
			out = append(out, c.capture(s.Path, name)...)
		}
		template = after
	}
}

func join(path [][]byte) []byte {
	var b []byte
	for i, s := range path {
		if i > 0 {
			b = append(b, '.')
		}
		b = append(b, s...)
	}
	return b
}
