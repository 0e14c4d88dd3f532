package rules

import (
	"slices"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// A Feed leads the samples of one pulled document through the rules into a round of series. It
// is what a decoder talks to.
type Feed struct {
	walk    *Walk
	store   *series.Store
	src     *series.Source
	round   *series.Pull
	path    [][]byte
	samples uint64 // of the round
	walked  int    // how much of path the walk has followed; it is asked only for what is not remembered
	key     []byte // of path, for memos
	known   memos
	same    *neighbour         // first of those that were found as they were in the object around the value, nil for none
	within  int                // length of that object's path
	steady  bool               // the value under way can be remembered
	targets []target           // of it
	yield   func(*Outcome)     // put
	sums    map[string]float64 // of delta rules, by series; they outlive a round in which the source is away
}

// Feed returns a feed of src. Begin must come before the first sample.
func (s *Set) Feed(store *series.Store, src *series.Source) *Feed {
	f := &Feed{
		walk: s.Walk(), store: store, src: src, sums: map[string]float64{},
		known: memos{byKey: map[string]*memo{}, limit: 2*store.Limits().PerSource + 1024},
	}
	f.yield = f.put
	return f
}

// Begin starts a round with the document.
func (f *Feed) Begin() {
	f.path, f.key, f.known.last, f.known.swept, f.same = f.path[:0], f.key[:0], nil, false, nil
	f.walk.Reset()
	f.walked = 0
	f.round = f.src.Begin()
}

// Commit ends the round: series that it did not name vanish.
func (f *Feed) Commit() {
	f.src.Samples.Add(f.samples)
	f.samples = 0
	f.round.Commit()
}

// Push goes one segment down. The segment must stay as it is until Pop.
func (f *Feed) Push(segment []byte) {
	f.path = append(f.path, segment)
	f.key = appendStep(f.key, segment)
}

// Pop goes one segment up.
func (f *Feed) Pop() {
	last := len(f.path) - 1
	if f.walked > last {
		f.walk.Pop()
		f.walked = last
	}
	if last < f.within {
		f.same = nil // the object has come to its end
	}
	f.key = f.key[:len(f.key)-len(f.path[last])-3]
	f.path = f.path[:last]
}

// Leaf takes the value that stands where the walk is.
func (f *Feed) Leaf(s *sample.Sample) {
	f.samples++
	if !s.Numeric && s.Metric == nil {
		if f.follow(); !f.walk.wanted() {
			return // as most texts; none of them is remembered
		}
	}
	if m := f.known.find(f.key); m != nil && m.fits(s) && f.holds(m, s) {
		f.again(m, s)
		return
	}
	f.follow()
	f.steady, f.targets = len(s.Labels) == 0 && s.Dist == nil, f.targets[:0]
	matched := f.walk.Match(s, f.yield)
	if !matched && (s.Numeric || s.Metric != nil) {
		f.unmatched()
		o := f.walk.Default(s)
		f.put(&o)
	}
	if f.steady && len(f.targets) > 0 {
		f.known.put(f.key, memo{kind: s.Kind, numeric: s.Numeric, targets: slices.Clone(f.targets), beside: f.known.neighbours(f.targets, s), matched: matched})
	}
}

// holds reports whether the neighbours of a memo are as they were. The values of one object mostly share them, so they are
// compared once for each object.
func (f *Feed) holds(m *memo, s *sample.Sample) bool {
	if len(m.beside) == 0 || f.same == &m.beside[0] && f.within == len(f.path)-1 {
		return true
	}
	for i := range m.beside {
		if string(m.beside[i].label.lookup(s)) != m.beside[i].text {
			return false
		}
	}
	f.same, f.within = &m.beside[0], len(f.path)-1
	return true
}

// follow brings the walk to where the path is.
func (f *Feed) follow() {
	for ; f.walked < len(f.path); f.walked++ {
		f.walk.Push(f.path[f.walked])
	}
}

func (f *Feed) unmatched() {
	if f.walk.set.trie.count > 0 {
		f.src.Unmatched.Add(1)
	}
}

// again does with a value what was done with the one before it at that path.
func (f *Feed) again(m *memo, s *sample.Sample) {
	if !m.matched && s.Numeric {
		f.unmatched()
	}
	for i := range m.targets {
		t := &m.targets[i]
		v, ok, rule := times(s.Value, t.factor), true, (*Rule)(nil)
		if t.rule != nil {
			rule = t.rule.rule
			if t.x.Family().Desc().Type != series.Info {
				v, ok = t.rule.number(s)
			}
		}
		if !ok {
			f.src.Problem("not_a_number", 1)
			continue
		}
		f.round.Again(t.x)
		f.assign(t.x, rule, v)
	}
}

func (f *Feed) put(o *Outcome) {
	if o.compiled != nil && !o.compiled.steady() && !o.Drop {
		f.steady = false
	}
	switch {
	case o.Drop:
		return
	case !o.OK:
		f.steady = false // the next text may be a number
		f.src.Problem("not_a_number", 1)
		return
	}
	family, err := f.store.Family(*o.Desc)
	if err != nil {
		f.steady = false
		return // counted there
	}
	if o.Desc.Type == series.StateSet && o.Text != nil {
		_ = f.round.SetState(family, o.Labels, o.Rule.States, string(o.Text)) // counted there
		if !slices.Contains(o.Rule.States, string(o.Text)) {
			f.src.Problem("value_out_of_range", 1) // it is in none of its states
		}
		return
	}
	for _, l := range o.Labels {
		f.steady = f.steady && len(l.Value) <= f.store.Limits().LabelBytes // each one that is cut is counted
	}
	x, err := f.round.Series(family, o.Labels...)
	if err != nil {
		f.steady = false // so that each sample above a limit is counted
		return
	}
	if o.Dist != nil {
		if !x.SetDistribution(scaled(o.Dist, o.Factor, o.Desc.Type)) {
			f.refuse(x)
		}
		return
	}
	f.targets = append(f.targets, target{o.compiled, o.Factor, x})
	f.assign(x, o.Rule, o.Value)
}

// refuse counts a value that its series cannot have, and leaves the series out.
func (f *Feed) refuse(x *series.Series) {
	f.src.Problem("value_out_of_range", 1)
	f.steady = false
	f.round.Refuse(x)
}

// scaled is a copy of a distribution, which is borrowed, in the unit of its rule.
func scaled(d *sample.Dist, factor float64, t series.Type) *series.Distribution {
	out := &series.Distribution{Count: d.Count, Sum: times(d.Sum, factor), Points: slices.Clone(d.Points), Without: d.Without}
	for i := range out.Points {
		if t == series.Summary {
			out.Points[i].Value = times(out.Points[i].Value, factor)
		} else {
			out.Points[i].At = times(out.Points[i].At, factor)
		}
	}
	return out
}

// assign gives a series its value. An info has none.
func (f *Feed) assign(x *series.Series, rule *Rule, v float64) {
	taken := true
	switch t := x.Family().Desc().Type; {
	case t == series.Info:
	case t == series.Histogram || t == series.Summary:
		if !x.Observe(v, 1) {
			f.src.Problem("value_out_of_range", 1) // it goes on with the values that it has
		}
	case rule != nil && rule.Type == "delta":
		taken = f.accumulate(x, v)
	default:
		taken = x.Set(v)
	}
	if !taken {
		f.refuse(x)
	}
}

// accumulate adds to a sum that is kept apart from its series, which vanishes when a scrape finds the source away.
func (f *Feed) accumulate(x *series.Series, v float64) bool {
	before, known := f.sums[x.Text()]
	if !known && len(f.sums) >= f.store.Limits().PerSource {
		clear(f.sums) // labels come and go without end: no sum is worth that memory
	}
	if v < 0 || !x.Set(before+v) {
		return false
	}
	f.sums[x.Text()] = before + v
	return true
}
