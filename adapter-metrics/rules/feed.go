package rules

import (
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// A Feed leads the samples of one pulled document through the rules into a round of series. It
// is what a decoder talks to.
type Feed struct {
	*Walk
	store *series.Store
	src   *series.Source
	round *series.Pull
	now   *sample.Sample
}

// Feed returns a feed of src. Begin must come before the first sample.
func (s *Set) Feed(store *series.Store, src *series.Source) *Feed {
	return &Feed{Walk: s.Walk(), store: store, src: src}
}

// Begin starts a round with the document.
func (f *Feed) Begin() {
	f.Reset()
	f.round = f.src.Begin()
}

// Commit ends the round: series that it did not name vanish.
func (f *Feed) Commit() { f.round.Commit() }

// Leaf takes the value that stands where the walk is.
func (f *Feed) Leaf(s *sample.Sample) {
	f.src.Samples.Add(1)
	f.now = s
	if f.Match(s, f.put) || !s.Numeric {
		return
	}
	if f.set.trie.count > 0 {
		f.src.Unmatched.Add(1)
	}
	o := f.Default(s)
	f.put(&o)
}

func (f *Feed) put(o *Outcome) {
	switch {
	case o.Drop:
		return
	case !o.OK:
		f.src.Problem("not_a_number", 1)
		return
	}
	family, err := f.store.Family(*o.Desc)
	if err != nil {
		return // counted there
	}
	if o.Desc.Type == series.StateSet {
		_ = f.round.SetState(family, o.Labels, o.Rule.States, string(o.Text)) // counted there
		return
	}
	x, err := f.round.Series(family, o.Labels...)
	if err != nil {
		return // counted there
	}
	f.assign(x, o)
}

// assign gives a series its value. An info has none.
func (f *Feed) assign(x *series.Series, o *Outcome) {
	taken := true
	switch {
	case o.Desc.Type == series.Info:
	case o.Desc.Type == series.Histogram || o.Desc.Type == series.Summary:
		taken = x.Observe(o.Value, 1)
	case o.Rule != nil && o.Rule.Type == "delta":
		taken = x.Add(o.Value)
	default:
		taken = x.Set(o.Value)
	}
	if !taken {
		f.src.Problem("value_out_of_range", 1)
	}
}
