package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// mappingFile is a mapping file of statsd_exporter, as far as it says what a metric becomes. What only tunes that program,
// such as the size of its cache, is read and has no meaning here.
type mappingFile struct {
	Defaults mapping   `yaml:"defaults"`
	Mappings []mapping `yaml:"mappings"`
}

type mapping struct {
	Match     string            `yaml:"match"`
	MatchType string            `yaml:"match_type"`
	Kind      string            `yaml:"match_metric_type"`
	Name      string            `yaml:"name"`
	Help      string            `yaml:"help"`
	Action    string            `yaml:"action"`
	Labels    map[string]string `yaml:"labels"`
	Scale     float64           `yaml:"scale"`
	TTL       string            `yaml:"ttl"`
	Unordered bool              `yaml:"glob_disable_ordering"` // of the defaults

	Timer     string     `yaml:"timer_type"`    // the older name of
	Observer  string     `yaml:"observer_type"` // this
	Buckets   []float64  `yaml:"buckets"`
	Quantiles []quantile `yaml:"quantiles"`
	Histogram struct {
		Buckets []float64 `yaml:"buckets"`
	} `yaml:"histogram_options"`
	Summary struct {
		Quantiles []quantile `yaml:"quantiles"`
	} `yaml:"summary_options"`
}

type quantile struct {
	Quantile float64 `yaml:"quantile"`
}

// StatsDMapping reads a mapping file of statsd_exporter. The first glob that matches counts there, and without one the first
// regex, so all become regex rules, which keep their order, globs in front; with glob_disable_ordering it is the most specific glob,
// as it is here. Names stay as the file spells them, but counters end in _total, as OpenMetrics wants them.
// What no mapping matches is named and typed as that program does it.
func StatsDMapping(text []byte) ([]Rule, error) {
	var f mappingFile
	if err := yaml.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("read mapping file: %w", err)
	}
	if err := f.Defaults.check(); err != nil {
		return nil, fmt.Errorf("read mapping file: defaults: %w", err)
	}
	var out, regexes []Rule
	for i, m := range f.Mappings {
		list, err := m.rules(f.Defaults)
		if err != nil {
			return nil, fmt.Errorf("read mapping file: mappings[%d]: %w", i, err)
		}
		if m.isRegex(f.Defaults) {
			regexes = append(regexes, list...)
		} else {
			out = append(out, list...)
		}
	}
	out = append(out, regexes...)
	rest, err := mapping{Match: "(.*)", MatchType: "regex", Name: "$1", Help: "StatsD metric of that name."}.rules(f.Defaults)
	for i := range rest {
		rest[i].rest = true
	}
	return append(out, rest...), err
}

// check refuses words that statsd_exporter does not know either: left alone, they would make something else of the values.
func (m mapping) check() error {
	for _, c := range []struct{ key, word, known string }{
		{"match_type", m.MatchType, "glob, regex"},
		{"action", m.Action, "map, drop"},
		{"match_metric_type", m.Kind, "counter, gauge, observer, timer"},
		{"observer_type", m.Observer, "histogram, summary"},
		{"timer_type", m.Timer, "histogram, summary"},
	} {
		if c.word != "" && !slices.Contains(strings.Split(c.known, ", "), c.word) {
			return fmt.Errorf("unknown %s %q (one of %s)", c.key, c.word, c.known)
		}
	}
	return nil
}

// rules are one for timers, which have a type to choose, and one for everything else.
func (m mapping) rules(d mapping) ([]Rule, error) {
	r := Rule{Name: references(m.Name), Help: first(m.Help, "StatsD names that match "+m.Match+"."), Scale: m.Scale, Exact: true, Drop: m.Action == "drop"}
	err := m.check()
	if err == nil && r.Name == "" && !r.Drop {
		err = errors.New("it has no name")
	}
	if err != nil {
		return nil, err
	}
	if r.Match, r.Regex, err = m.pattern(d); err != nil {
		return nil, err
	}
	if text := first(m.TTL, d.TTL); text != "" && text != "0" {
		if r.TTL, err = conf.ParseDuration(text); err != nil {
			return nil, err
		}
	}
	if r.Drop {
		if r.Name, r.Kind = "", m.Kind; r.Kind == "observer" {
			r.Kind = "timer"
		}
		return []Rule{r}, nil
	}
	for name, value := range m.Labels {
		if r.Labels == nil {
			r.Labels = map[string]string{}
		}
		r.Labels[name] = references(value)
	}
	timer, other := r, r
	timer.Kind, other.Kind = "timer", "other"
	timer.Type = first(m.Observer, m.Timer, d.Observer, d.Timer, "summary")
	if timer.Type == "histogram" {
		timer.Buckets = anyOf(m.Histogram.Buckets, m.Buckets, d.Histogram.Buckets, d.Buckets)
	} else {
		for _, q := range anyOf(m.Summary.Quantiles, m.Quantiles, d.Summary.Quantiles, d.Quantiles) {
			timer.Quantiles = append(timer.Quantiles, q.Quantile)
		}
	}
	switch m.Kind {
	case "timer", "observer":
		return []Rule{timer}, nil
	case "":
		return []Rule{timer, other}, nil
	}
	other.Kind = m.Kind
	return []Rule{other}, nil
}

// pattern is the mapping's match, as a pattern of segments or as a regex of the whole path. A * of a glob is one segment.
func (m mapping) pattern(d mapping) (match, regex string, err error) {
	if m.isRegex(d) {
		_, err := regexp.Compile(m.Match)
		return "", `(?s:.*?)(?:` + m.Match + `)(?s:.*)`, err
	}
	switch {
	case m.Match == "":
		return "", "", fmt.Errorf("it has no match")
	case d.Unordered && !strings.ContainsAny(m.Match, "{}") && !strings.Contains("."+m.Match+".", ".."):
		n := 0
		return regexp.MustCompile(`\*`).ReplaceAllStringFunc(m.Match, func(string) string { n++; return fmt.Sprintf("{%d}", n) }), "", nil
	}
	return "", strings.ReplaceAll(regexp.QuoteMeta(m.Match), `\*`, `([^.]*)`), nil
}

func (m mapping) isRegex(d mapping) bool { return first(m.MatchType, d.MatchType) == "regex" }

// references writes $1 and ${1} as {1}.
func references(template string) string {
	return regexp.MustCompile(`\$\{?(\d+)\}?`).ReplaceAllString(template, "{$1}")
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func anyOf[T any](lists ...[]T) []T {
	for _, l := range lists {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}
