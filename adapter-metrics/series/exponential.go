package series

import "math"

// exponential counts values in buckets of equal relative width: bucket i of schema s
// holds (b^(i-1), b^i] with b = 2^(2^-s), as native histograms define it. When the values
// span more than max buckets, pairs are merged and the schema falls by one.
type exponential struct {
	schema   int32
	max      int
	zero     uint64
	pos, neg window
}

// window is a run of buckets.
type window struct {
	first  int32 // index of counts[0]
	counts []uint64
}

// zeroThreshold is the width of the zero bucket, 2^-128 as client_golang has it.
const zeroThreshold = 2.938735877055719e-39

// minSchema covers the whole range of float64 with 132 buckets.
const minSchema = -4

func (e *exponential) add(v float64, n uint64) {
	w := &e.pos
	switch {
	case math.Abs(v) <= zeroThreshold:
		e.zero += n
		return
	case v < 0:
		w, v = &e.neg, -v
	}
	i := bucketIndex(v, e.schema)
	for !w.fits(i, e.max) && e.schema > minSchema {
		e.pos.halve()
		e.neg.halve()
		e.schema--
		i = bucketIndex(v, e.schema)
	}
	*w.at(i) += n
}

// bucketIndex finds the bucket of a positive value. Up to schema 3 it is found among the eight
// bounds of schema 3 between 0.5 and 1, from which those of coarser schemas follow exactly.
func bucketIndex(v float64, schema int32) int32 {
	frac, exp := math.Frexp(v)
	if schema > nativeSchema {
		return fineIndex(frac, exp, schema)
	}
	bounds := [1 << nativeSchema]float64{0.5, 0.5452538663326288, 0.5946035575013605, 0.6484197773255048,
		0.7071067811865475, 0.7711054127039704, 0.8408964152537144, 0.9170040432046711}
	i := int32(exp-1) << nativeSchema
	for _, b := range bounds {
		if b < frac {
			i++
		}
	}
	shift := nativeSchema - schema
	return (i + (1<<shift - 1)) >> shift
}

// fineIndex estimates by the logarithm, then corrects the rounding.
func fineIndex(frac float64, exp int, schema int32) int32 {
	n := int32(1) << schema
	i := int32(math.Ceil(math.Log2(frac) * float64(n)))
	if frac > upperFraction(i, n) {
		i++
	} else if frac <= upperFraction(i-1, n) {
		i--
	}
	return int32(exp)*n + i
}

// upperFraction is 2^(i/n).
func upperFraction(i, n int32) float64 { return math.Exp2(float64(i) / float64(n)) }

// fits reports whether the window with i in it has at most limit buckets.
func (w *window) fits(i int32, limit int) bool {
	if len(w.counts) == 0 {
		return true
	}
	last := w.first + int32(len(w.counts)) - 1
	return int(max(last, i)-min(w.first, i)) < limit
}

// at returns the counter of bucket i, widening the window as far as needed.
func (w *window) at(i int32) *uint64 {
	if len(w.counts) == 0 {
		w.first = i
	}
	if d := w.first - i; d > 0 {
		wider := make([]uint64, int(d)+len(w.counts))
		copy(wider[d:], w.counts)
		w.first, w.counts = i, wider
	}
	for int(i-w.first) >= len(w.counts) {
		w.counts = append(w.counts, 0)
	}
	return &w.counts[i-w.first]
}

// halve merges buckets 2k-1 and 2k into k.
func (w *window) halve() {
	if len(w.counts) == 0 {
		return
	}
	old := *w
	*w = window{first: (old.first + 1) >> 1}
	w.counts = make([]uint64, 0, len(old.counts)/2+2)
	for j, n := range old.counts {
		*w.at((old.first + int32(j) + 1) >> 1) += n
	}
}
