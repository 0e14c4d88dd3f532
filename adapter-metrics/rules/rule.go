// Package rules says what becomes of a sample: its metric's name, type, unit and labels.
//
// A rule matches the path where a value stood. All rules of a source form one trie of path
// segments, and a decoder walks it alongside the document, so that a value costs the
// segments on its way and not the number of rules. Of several rules that match, the most
// specific one wins, compared from the first segment on: a literal before a
// segment with a wildcard in it, that before {x}, that before **. A value that no rule
// wants gets a name made of its path.
package rules

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// A Rule is one entry of rules: in the configuration.
type Rule struct {
	Match     string             `yaml:"match,omitempty" doc:"Path of the values: segments with dots between; {x} captures a segment into the label x, * any segment, ** any number of them, \\. a dot inside a segment."`
	Regex     string             `yaml:"regex,omitempty" doc:"RE2 pattern for the whole path, instead of match; tried after all match rules. Named groups are captures."`
	Name      string             `yaml:"name,omitempty" doc:"Name of the metric; {x} inserts a capture, which then is no label."`
	Help      string             `yaml:"help,omitempty" doc:"A sentence that says what the metric is."`
	Type      string             `yaml:"type,omitempty" enum:"counter,gauge,histogram,summary,info,stateset,untyped,delta" doc:"Default: a name in _total is a counter, everything else a gauge. delta is a counter that adds up what the source resets."`
	Unit      string             `yaml:"unit,omitempty" doc:"Unit of the source's value, such as ms, kb or percent; value and name get the base unit."`
	Labels    map[string]string  `yaml:"labels,omitempty" doc:"Further labels: .x is the sibling called x, ..x stands beside the parent, {x} inserts a capture, {value} the value's own text; anything else is itself."`
	Map       map[string]float64 `yaml:"map,omitempty" doc:"Numbers for texts, such as {UP: 1, DOWN: 0}; the key * stands for all others."`
	States    []string           `yaml:"states,omitempty" doc:"All states of a stateset."`
	Parse     string             `yaml:"parse,omitempty" enum:"bool,time,duration,bytes,percent,number" doc:"How a text becomes a number: time gives seconds since 1970, duration seconds, percent a ratio."`
	Scale     float64            `yaml:"scale,omitempty" doc:"Factor for the value."`
	Buckets   []float64          `yaml:"buckets,omitempty" doc:"Upper bounds of a histogram, in the base unit."`
	Quantiles []float64          `yaml:"quantiles,omitempty" doc:"Quantiles of a summary, between 0 and 1."`
	TTL       conf.Duration      `yaml:"ttl,omitempty" doc:"Remove a pushed series that got no sample for this long."`
	Drop      bool               `yaml:"drop,omitempty" doc:"Make nothing of these values."`
	Kind      string             `yaml:"kind,omitempty" enum:"counter,gauge,timer,set,other" doc:"Only values that were pushed as this; other is everything but timers and distributions."`
	Exact     bool               `yaml:"exact,omitempty" doc:"Keep the case of captures that name inserts."`
	Continue  bool               `yaml:"continue,omitempty" doc:"Let the next matching rule have the value too."`

	rest bool // names what no other rule wants, which stays unmatched
}

// Validate notes what is wrong with the rule at path.
func (r *Rule) Validate(path string, p *conf.Problems) {
	switch {
	case (r.Match == "") == (r.Regex == ""):
		p.Add(path, "has not exactly one of match and regex", "match: requests.{route}.count")
	case r.Regex != "":
		if _, err := regexp.Compile(r.Regex); err != nil {
			p.Add(path+".regex", err.Error(), "the syntax is RE2's: https://github.com/google/re2/wiki/Syntax")
		}
	default:
		if _, err := parsePattern(r.Match); err != nil {
			p.Add(path+".match", err.Error(), "")
		}
	}
	if r.Unit != "" {
		if _, ok := unitOf(r.Unit); !ok {
			p.Add(path+".unit", "unknown unit "+r.Unit, "known: "+strings.Join(unitNames(), ", "))
		}
	}
	if r.Type == "stateset" && len(r.States) == 0 {
		p.Add(path+".states", "a stateset needs all its states", "states: [running, stopped]")
	}
	r.validateValue(path, p)
	known := r.captures()
	for i, name := range known {
		if slices.Contains(known[:i], name) {
			p.Add(path+".match", "captures {"+name+"} twice", "give each capture a name of its own")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.Labels)) {
		eachReference(r.Labels[key], func(ref string) {
			if ref != "value" && !slices.Contains(known, ref) {
				p.Add(path+".labels."+key, "{"+ref+"} is no capture of match", "captures: "+strings.Join(known, ", "))
			}
		})
	}
	eachReference(r.Name, func(ref string) {
		if !slices.Contains(known, ref) {
			p.Add(path+".name", "{"+ref+"} is no capture of match", "captures: "+strings.Join(known, ", "))
		}
	})
}

// validateValue notes keys that contradict each other, or of which one would be ignored.
func (r *Rule) validateValue(path string, p *conf.Problems) {
	for _, c := range []struct {
		wrong           bool
		key, what, hint string
	}{
		{r.Drop && r.Name != "", "drop", "contradicts name", "remove one of them"},
		{len(r.Map) > 0 && r.Parse != "", "parse", "contradicts map", "remove one of them"},
		{len(r.Buckets) > 0 && len(r.Quantiles) > 0, "quantiles", "contradicts buckets", "remove one of them"},
		{len(r.Buckets) > 0 && r.Type != "" && r.Type != "histogram", "buckets", "is for a histogram", "type: histogram"},
		{len(r.Quantiles) > 0 && r.Type != "" && r.Type != "summary", "quantiles", "is for a summary", "type: summary"},
		{len(r.States) > 0 && r.Type != "stateset", "states", "is for a stateset", "type: stateset"},
		{!series.ValidQuantiles(r.Quantiles), "quantiles", "has one that is not between 0 and 1", "[0.5, 0.99]"},
		{math.IsNaN(r.Scale) || math.IsInf(r.Scale, 0), "scale", "is not finite", "scale: 0.001"},
		{r.TTL < 0, "ttl", "is negative", "ttl: 5m"},
	} {
		if c.wrong {
			p.Add(path+"."+c.key, c.what, c.hint)
		}
	}
}

// Shadowed notes the rules of the list at path that never get a value, as an earlier one with the same pattern takes them all.
func Shadowed(list []Rule, path string, p *conf.Problems) {
	taken := map[string]int{}
	for i := range list {
		r := &list[i]
		if _, err := parsePattern(r.Match); err != nil && r.Regex == "" {
			continue
		}
		for _, kind := range []string{"", r.Kind} {
			if by, ok := taken[r.pattern()+kind]; ok {
				p.Add(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("gets no value: rules[%d] matches the same", by), "delete one of them, or set continue: true on the first")
				break
			}
		}
		if _, ok := taken[r.pattern()+r.Kind]; !ok && !r.Continue {
			taken[r.pattern()+r.Kind] = i
		}
	}
}

// pattern is the same for rules that match the same paths.
func (r *Rule) pattern() string {
	key := "regex " + r.Regex + "\x01"
	segments, _ := parsePattern(r.Match)
	for _, s := range segments {
		key += s.key() + "\x01" // of ** it is empty, which no other segment's is
	}
	return key
}

// captures are the names that the rule's pattern captures.
func (r *Rule) captures() []string {
	var names []string
	if r.Regex != "" {
		if re, err := regexp.Compile(r.Regex); err == nil {
			for i := range re.NumSubexp() + 1 {
				names = append(names, groupName(re, i)) // 0 is the whole path
			}
		}
		return names
	}
	segments, _ := parsePattern(r.Match)
	for _, s := range segments {
		for _, part := range s.parts {
			if part.name != "" {
				names = append(names, part.name)
			}
		}
	}
	return names
}

// groupName is what a group of a regex is called in templates: its name, or its number.
func groupName(re *regexp.Regexp, i int) string {
	if name := re.SubexpNames()[i]; name != "" {
		return name
	}
	return strconv.Itoa(i)
}

// wants reports whether the rule is for values of that kind.
func (r *Rule) wants(k sample.Kind) bool {
	timer := k == sample.Timer || k == sample.Distribution
	switch r.Kind {
	case "":
		return true
	case "timer":
		return timer
	case "other":
		return !timer
	case "gauge":
		return k == sample.Gauge || k == sample.GaugeDelta
	}
	return r.Kind == k.String()
}

// eachReference calls visit with x for each {x} in a template.
func eachReference(template string, visit func(string)) {
	for {
		_, rest, ok := strings.Cut(template, "{")
		if !ok {
			return
		}
		name, rest, ok := strings.Cut(rest, "}")
		if !ok {
			return
		}
		visit(name)
		template = rest
	}
}

func metricType(name string) series.Type {
	types := map[string]series.Type{
		"counter": series.Counter, "delta": series.Counter, "gauge": series.Gauge, "histogram": series.Histogram,
		"summary": series.Summary, "info": series.Info, "stateset": series.StateSet,
	}
	return types[name]
}

func ttl(d conf.Duration) time.Duration { return d.D() }
