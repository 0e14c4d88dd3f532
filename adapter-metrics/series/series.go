package series

import (
	"math"
	"sync/atomic"
)

// The life of a series: live after a sample, quiet after a sweep without one, removed for good.
const (
	live uint32 = iota
	quiet
	removed
)

// A Series is one line, or one histogram, of the page. All updates are safe for
// concurrent use and report whether they were taken: false means that the series has been
// removed (ask Removed, then get it anew) or that the value is none that its type
// can have. The zero value of a series is shown until its first update.
type Series struct {
	// What each sample of a known series touches comes first, so that it lies in one line of the processor's cache.
	bits  atomic.Uint64 // the value as float64, of all types but the three below
	mark  atomic.Uint32
	typ   Type // the family's
	other bool
	since uint32        // seconds; when it fell quiet; written by the sweep only
	round uint32        // of the pull that saw it last; written by that pull only
	born  atomic.Uint32 // seconds; since when it counts, 0 when that is not known

	text  string // name{labels} and a space: the text of both formats, and the key
	proto string // the Metric message up to its value; guarded by store.protoMu
	fam   *Family
	src   *Source

	hist *histogram // Histogram
	more *more      // Summary, sets, and distributions that arrive ready-made
}

// more holds what few series need.
type more struct {
	summary *summary
	set     *set
	ready   atomic.Pointer[Distribution]
}

func newSeries(f *Family, src *Source, key string) *Series {
	x := &Series{text: key, fam: f, src: src, typ: f.desc.Type}
	switch f.desc.Type {
	case Histogram:
		x.hist = newHistogram(len(f.desc.Buckets.bounds))
		x.more = &more{}
	case Summary:
		x.more = &more{summary: newSummary()}
	case Gauge:
		if f.desc.Distinct {
			x.more = &more{set: &set{members: map[uint64]struct{}{}}}
		}
	case Info:
		x.bits.Store(math.Float64bits(1))
	}
	return x
}

// Family returns the series' family.
func (x *Series) Family() *Family { return x.fam }

// Removed reports whether the series is no longer on the page. It stays removed.
func (x *Series) Removed() bool { return x.mark.Load() == removed }

// Other reports whether this is the series that stands for all that found no room.
func (x *Series) Other() bool { return x.other }

// touch keeps the series alive.
func (x *Series) touch() bool {
	m := x.mark.Load()
	return m == live || m == quiet && x.mark.CompareAndSwap(quiet, live)
}

// Add adds to a counter or gauge. A counter takes no negative values, and nothing
// takes values that are not finite or would make it so.
func (x *Series) Add(v float64) bool {
	if !(v >= 0) && (x.typ == Counter || v != v) || x.typ >= Info || !x.touch() {
		return false
	}
	for {
		old := x.bits.Load()
		sum := math.Float64frombits(old) + v
		if math.IsInf(sum, 0) || sum != sum {
			return false
		}
		if x.bits.CompareAndSwap(old, math.Float64bits(sum)) {
			return true
		}
	}
}

// Set replaces the value. A counter takes a running total: finite and not negative;
// one below the last is a restart of the app and taken. Gauges take anything.
func (x *Series) Set(v float64) bool {
	switch x.typ {
	case Counter:
		if !(v >= 0) || math.IsInf(v, 1) {
			return false
		}
		if x.born.Load() != 0 {
			x.born.Store(0) // somebody else counts
		}
	case StateSet:
		if v != 0 && v != 1 {
			return false
		}
	case Histogram, Summary, Info:
		return false
	}
	if !x.touch() {
		return false
	}
	x.bits.Store(math.Float64bits(v))
	return true
}

// Observe counts a value weight times in a histogram or summary, at a cost that does not
// depend on the weight. Fractional weights (a sampling rate of 0.3 is 3.33) are carried
// over, so that counts stay whole and are right in the long run. Refused are values that are
// not finite and weights outside (0, MaxWeight].
func (x *Series) Observe(v, weight float64) bool {
	if math.IsInf(v, 0) || v != v || !(weight > 0 && weight <= MaxWeight) || !x.touch() {
		return false
	}
	if x.hist != nil {
		return x.hist.observe(x.fam.desc.Buckets.bounds, v, weight)
	}
	return x.more != nil && x.more.summary != nil && x.more.summary.observe(v, weight)
}

// MaxWeight bounds what one observation can stand for.
const MaxWeight = 1e9

// Value returns the number shown for a counter, gauge, info, state or set.
func (x *Series) Value() float64 {
	if x.more != nil && x.more.set != nil {
		return x.more.set.value()
	}
	return math.Float64frombits(x.bits.Load())
}

// Started is since when the series counts, in Unix seconds; 0 when that is not known: somebody else counts and only
// shows the total.
func (x *Series) Started() int64 {
	if x.more != nil && x.more.ready.Load() != nil {
		return 0
	}
	return int64(x.born.Load())
}

// Text returns name{labels} and a space, as both text formats write it when names need
// no escaping. For histograms and summaries the name has no suffix.
func (x *Series) Text() string { return x.text }

// Labels returns what stands between the braces of Text, without the metric's own name.
func (x *Series) Labels() string { return labelPart(x.text, len(x.fam.desc.Name)) }
