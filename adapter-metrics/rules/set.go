package rules

import (
	"bytes"
	"slices"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// An Outcome is what one rule, or the default naming, made of a sample. It is valid until the
// function that got it returns.
type Outcome struct {
	Rule   *Rule // nil: no rule matched
	Drop   bool
	Desc   *series.Desc
	Labels []sample.Label
	Value  float64      // valid when OK
	OK     bool         // the value could be made a number, or its type needs none
	Factor float64      // what Value was multiplied with
	Text   []byte       // the active state of a stateset
	Dist   *sample.Dist // in place of Value, as the source has counted it; Factor is still to be applied

	compiled *compiled
}

// A Set is the compiled rules of one source. It does not change and is safe for concurrent use.
type Set struct {
	trie   *trie
	prefix string
}

// New compiles rules. prefix stands before the names of values that no rule describes.
func New(list []Rule, prefix string) (*Set, error) {
	t, err := newTrie(list)
	return &Set{trie: t, prefix: prefix}, err
}

// Len is the number of rules.
func (s *Set) Len() int { return s.trie.count }

// Walk returns a walk that starts at the root of a document.
func (s *Set) Walk() *Walk {
	w := &Walk{set: s}
	w.active = appendNode(w.active, s.trie.root)
	w.marks = append(w.marks, 0)
	return w
}

// A Walk follows one document. Push and Pop move it along; only one goroutine uses it.
type Walk struct {
	set    *Set
	path   [][]byte
	active []*node // of all depths, one after the other
	marks  []int   // where each depth's nodes begin
	labels []sample.Label
	desc   series.Desc

	outcome Outcome // used again for each rule
}

// Push goes one segment down. The segment must stay as it is until Pop.
func (w *Walk) Push(segment []byte) {
	from, to := w.marks[len(w.marks)-1], len(w.active)
	w.marks = append(w.marks, to)
	w.path = append(w.path, segment)
	for i := from; i < to; i++ {
		w.active = w.active[i].step(segment, w.active)
	}
}

// Pop goes one segment up.
func (w *Walk) Pop() {
	last := len(w.marks) - 1
	w.active = w.active[:w.marks[last]]
	w.marks = w.marks[:last]
	w.path = w.path[:len(w.path)-1]
}

// Path is where the walk stands.
func (w *Walk) Path() [][]byte { return w.path }

// Reset goes back to the root.
func (w *Walk) Reset() {
	w.path, w.marks = w.path[:0], w.marks[:1]
	w.active = appendNode(w.active[:0], w.set.trie.root)
}

// wanted reports whether a rule may match where the walk stands.
func (w *Walk) wanted() bool {
	here := w.active[w.marks[len(w.marks)-1]:]
	return len(w.set.trie.regex) > 0 || slices.ContainsFunc(here, func(n *node) bool { return len(n.rules) > 0 })
}

// Match calls yield for each rule that gets the sample that stands where the walk is, and
// reports whether there was one.
func (w *Walk) Match(s *sample.Sample, yield func(*Outcome)) bool {
	s.Path = w.path
	matched := false
	for _, n := range w.active[w.marks[len(w.marks)-1]:] {
		for _, c := range n.rules {
			if !c.rule.wants(s.Kind) {
				continue
			}
			matched = true
			w.apply(c, s, yield)
			if !c.rule.Continue {
				return true
			}
		}
	}
	if len(w.set.trie.regex) > 0 {
		joined := join(w.path)
		for _, c := range w.set.trie.regex {
			if c.rule.wants(s.Kind) && c.regex.Match(joined) {
				matched = true
				w.apply(c, s, yield)
				if !c.rule.Continue {
					return true
				}
			}
		}
	}
	return matched
}

func (w *Walk) apply(c *compiled, s *sample.Sample, yield func(*Outcome)) {
	o := &w.outcome
	*o = Outcome{Rule: c.rule, Drop: c.rule.Drop, Factor: c.factor, compiled: c}
	if o.Drop {
		yield(o)
		return
	}
	w.desc = c.desc
	if !c.fixed || w.desc.Name == "" {
		w.rename(c, s)
	}
	if c.rule.Type == "" && len(c.rule.Buckets) == 0 && len(c.rule.Quantiles) == 0 {
		w.desc.Type = kindType(s.Kind, w.desc.Type)
	}
	o.Desc = &w.desc
	o.Labels = w.ruleLabels(c, s)
	if s.Metric != nil {
		w.describe(s, c.rule)
	}
	switch {
	case w.desc.Type == series.Info:
		o.Value, o.OK = 1, true
	case s.Kind == sample.State && w.desc.Type == series.StateSet:
		o.Value, o.OK = s.Value, s.Value == 0 || s.Value == 1
	case w.desc.Type == series.StateSet:
		o.Text, o.OK = s.Text, true
	case s.Kind == sample.Histogram || s.Kind == sample.Summary:
		o.Dist, o.OK = s.Dist, s.Dist != nil && w.desc.Type == kindType(s.Kind, 0)
	default:
		o.Value, o.OK = c.number(s)
	}
	yield(o)
}

// rename fills the template of a name, or makes a name of the path when the rule gives none.
func (w *Walk) rename(c *compiled, s *sample.Sample) {
	w.desc.Name = string(c.expand(c.rule.Name, s))
	if w.desc.Name == "" && s.Metric != nil {
		u, _ := unitOf(c.rule.Unit)
		w.desc.Name = withUnit(string(join(s.Path)), u.base)
		return
	}
	if w.desc.Name == "" {
		w.desc.Name, _ = nameOf(w.set.prefix, s.Path)
	}
	if c.rule.Exact {
		w.desc.Name = Classic(w.desc.Name)
		return
	}
	u, _ := unitOf(c.rule.Unit)
	w.desc.Name = withUnit(string(sample.AppendSnake(nil, []byte(w.desc.Name))), u.base)
	if c.rule.Type == "" && w.desc.Type == series.Gauge && bytes.HasSuffix([]byte(w.desc.Name), []byte("_total")) {
		w.desc.Type = series.Counter
	}
}

func (w *Walk) ruleLabels(c *compiled, s *sample.Sample) []sample.Label {
	out := w.labels[:0]
	for i := range c.labels {
		l := &c.labels[i]
		var value []byte
		if l.field != "" {
			value = l.lookup(s)
		} else {
			value = c.expand(l.template, s)
		}
		out = append(out, sample.Label{Name: l.name, Value: value})
	}
	if len(c.captures) > 0 {
		c.each(s.Path, func(name string, text []byte) {
			for _, want := range c.captures {
				if want == name {
					out = append(out, sample.Label{Name: name, Value: text})
				}
			}
		})
	}
	w.labels = append(out, s.Labels...)
	return w.labels
}
