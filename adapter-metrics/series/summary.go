package series

import (
	"math"
	"slices"
	"sync"
	"time"
)

// A summary keeps its last five to ten minutes in buckets that are 2.2 % wide, so a
// quantile is at most 1.1 % off, whatever the weights and however many values.
const (
	summarySchema  = 5
	summaryBuckets = 640
	summaryWindow  = 5 * time.Minute
)

type summary struct {
	mu        sync.Mutex
	count     uint64
	sum       float64
	carry     float64
	now, last exponential
	turned    time.Time
}

func newSummary() *summary { return &summary{now: fresh(), last: fresh()} }

func fresh() exponential { return exponential{schema: summarySchema, max: summaryBuckets} }

func (s *summary) observe(v, weight float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, carry := whole(weight, s.carry)
	sum := s.sum + v*weight
	if math.IsInf(sum, 0) || s.count+n < s.count {
		return false
	}
	s.sum, s.carry = sum, carry
	s.count += n
	s.now.add(v, n)
	return true
}

// turn starts a new half of the window when the running one is old enough.
func (s *summary) turn(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turned.IsZero() {
		s.turned = now
	}
	if now.Sub(s.turned) >= summaryWindow {
		s.turned, s.last, s.now = now, s.now, fresh()
	}
}

func (s *summary) read(quantiles []float64, d *Distribution) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.Count, d.Sum, d.Points, d.Native = s.count, s.sum, d.Points[:0], false
	total := s.now.total() + s.last.total()
	for _, q := range quantiles {
		v := math.NaN()
		if total > 0 {
			v = quantile(&s.now, &s.last, math.Max(1, math.Ceil(q*float64(total))))
		}
		d.Points = append(d.Points, Point{At: q, Value: v})
	}
}

func (e *exponential) total() uint64 {
	n := e.zero
	for _, c := range e.pos.counts {
		n += c
	}
	for _, c := range e.neg.counts {
		n += c
	}
	return n
}

// quantile finds the value at a rank (from 1) of two counts together. It walks the
// buckets of both from the most negative bound upwards.
func quantile(a, b *exponential, rank float64) float64 {
	parts := [2]*exponential{a, b}
	for a.schema != b.schema { // bring both to the coarser schema, on copies
		i := 0
		if b.schema > a.schema {
			i = 1
		}
		c := *parts[i]
		c.pos.halve()
		c.neg.halve()
		c.schema--
		parts[i] = &c
		a, b = parts[0], parts[1]
	}
	var seen float64
	lo, hi := span(&a.neg, &b.neg)
	for i := hi; i >= lo; i-- {
		if seen += a.neg.get(i) + b.neg.get(i); seen >= rank {
			return -middle(i, a.schema)
		}
	}
	if seen += float64(a.zero + b.zero); seen >= rank {
		return 0
	}
	lo, hi = span(&a.pos, &b.pos)
	for i := lo; i < hi; i++ {
		if seen += a.pos.get(i) + b.pos.get(i); seen >= rank {
			return middle(i, a.schema)
		}
	}
	return middle(hi, a.schema)
}

// middle is the point of a bucket that is equally far, in ratio, from both bounds.
func middle(i, schema int32) float64 {
	return math.Exp2(math.Ldexp(float64(i)-0.5, -int(schema)))
}

// span is the range of indexes that either window has; lo > hi when none has any.
func span(a, b *window) (lo, hi int32) {
	lo, hi = math.MaxInt32, math.MinInt32
	for _, w := range []*window{a, b} {
		if len(w.counts) > 0 {
			lo, hi = min(lo, w.first), max(hi, w.first+int32(len(w.counts))-1)
		}
	}
	return lo, hi
}

func (w *window) get(i int32) float64 {
	if j := int(i) - int(w.first); j >= 0 && j < len(w.counts) {
		return float64(w.counts[j])
	}
	return 0
}

// ValidQuantiles reports whether a summary can have these quantiles.
func ValidQuantiles(list []float64) bool {
	return !slices.ContainsFunc(list, func(q float64) bool { return !(q >= 0 && q <= 1) })
}
