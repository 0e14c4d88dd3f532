package series

import (
	"math"
	"sync"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// Native histograms start at schema 3 (9 % wide buckets) and keep at most 160 buckets
// a sign, which covers six decades at full resolution.
const (
	nativeSchema  = 3
	nativeBuckets = 160
)

// histogram counts classic and native buckets in one step. One short lock keeps count, sum and
// buckets consistent with each other.
type histogram struct {
	mu      sync.Mutex
	count   uint64
	sum     float64
	carry   float64  // of fractional weights
	classic []uint64 // not cumulative; the last one is +Inf
	native  exponential
}

func newHistogram(bounds int) *histogram {
	return &histogram{classic: make([]uint64, bounds+1), native: exponential{schema: nativeSchema, max: nativeBuckets}}
}

func (h *histogram) observe(bounds []float64, v, weight float64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, carry := whole(weight, h.carry)
	sum := h.sum + v*weight
	if math.IsInf(sum, 0) || h.count+n < h.count {
		return false
	}
	h.sum, h.carry = sum, carry
	h.count += n
	h.classic[search(bounds, v)] += n
	h.native.add(v, n)
	return true
}

// whole splits a weight into the part that is counted now and the one that is carried.
func whole(weight, carry float64) (uint64, float64) {
	if weight == 1 {
		return 1, carry
	}
	total := weight + carry
	n := math.Floor(total)
	return uint64(n), total - n
}

// search finds the first bound that is not below v. Few bounds are walked: that is
// faster than halving them.
func search(bounds []float64, v float64) int {
	lo := 0
	for hi := len(bounds); hi-lo > 16; {
		if mid := (lo + hi) / 2; bounds[mid] < v {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for lo < len(bounds) && bounds[lo] < v {
		lo++
	}
	return lo
}

// A Point is one bound of a ready-made histogram with the count at or below it, or one
// quantile of a summary with its value.
type Point = sample.Point

// A Distribution is a histogram or summary as it is shown.
type Distribution struct {
	Count  uint64
	Sum    float64
	Points []Point // ascending; a histogram's without +Inf
	sample.Without
	// Native is set for histograms that were counted here.
	Native bool
	Schema int32
	Zero   uint64
	// Positive and Negative are runs of native buckets and the index of their first.
	Positive, Negative           []uint64
	PositiveFirst, NegativeFirst int32
}

// ZeroThreshold is the width of the zero bucket of every native histogram here.
func (d *Distribution) ZeroThreshold() float64 { return zeroThreshold }

// SetDistribution shows a histogram or summary that the app itself has counted. Refused are
// counts that go down from one bound to the next or above Count, bounds out of order, NaN
// sums of histograms, and series of other types. d belongs to the series from then on.
func (x *Series) SetDistribution(d *Distribution) bool {
	t := x.fam.desc.Type
	if x.more == nil || t != Histogram && t != Summary || d.Sum != d.Sum {
		return false
	}
	for i, p := range d.Points {
		switch {
		case p.At != p.At, i > 0 && p.At <= d.Points[i-1].At:
			return false
		case t == Summary:
			if p.At < 0 || p.At > 1 {
				return false
			}
		case !(p.Value >= 0 && p.Value <= float64(d.Count)) || math.IsInf(p.At, 0) || i > 0 && p.Value < d.Points[i-1].Value:
			return false
		}
	}
	if !x.touch() {
		return false
	}
	d.Native = false
	x.more.ready.Store(d)
	return true
}

// Distribution fills d with what a histogram or summary shows now, reusing its slices.
// d must not have been given to SetDistribution.
func (x *Series) Distribution(d *Distribution) {
	if x.more == nil {
		return
	}
	if r := x.more.ready.Load(); r != nil {
		points := append(d.Points[:0], r.Points...)
		*d = Distribution{Count: r.Count, Sum: r.Sum, Points: points, Without: r.Without, Positive: d.Positive[:0], Negative: d.Negative[:0]}
		return
	}
	switch {
	case x.hist != nil:
		x.hist.read(x.fam.desc.Buckets.bounds, d)
	case x.more.summary != nil:
		x.more.summary.read(x.fam.desc.Quantiles, d)
	}
}

func (h *histogram) read(bounds []float64, d *Distribution) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.Count, d.Sum, d.Points = h.count, h.sum, d.Points[:0]
	var below uint64
	for i, b := range bounds {
		below += h.classic[i]
		d.Points = append(d.Points, Point{At: b, Value: float64(below)})
	}
	d.Native, d.Schema, d.Zero = true, h.native.schema, h.native.zero
	d.PositiveFirst, d.Positive = h.native.pos.first, append(d.Positive[:0], h.native.pos.counts...)
	d.NegativeFirst, d.Negative = h.native.neg.first, append(d.Negative[:0], h.native.neg.counts...)
}
