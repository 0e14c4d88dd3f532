package series

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Buckets are the upper bounds of a classic histogram, with their text ready. One value
// is shared by all families that use the same bounds. It does not change.
type Buckets struct {
	bounds []float64
	text   []string // as text 0.0.4 writes le
	om     []string // as OpenMetrics writes le: always with a point or exponent
}

// NewBuckets sorts bounds and leaves out what is no bound: NaN, infinities (+Inf is always
// there) and repetitions.
func NewBuckets(bounds []float64) *Buckets {
	b := &Buckets{}
	for _, v := range bounds {
		if v == v && !math.IsInf(v, 0) {
			b.bounds = append(b.bounds, v)
		}
	}
	slices.Sort(b.bounds)
	b.bounds = slices.Compact(b.bounds)
	for _, v := range append(b.bounds[:len(b.bounds):len(b.bounds)], math.Inf(1)) {
		b.text = append(b.text, FormatBound(v, false))
		b.om = append(b.om, FormatBound(v, true))
	}
	return b
}

// defaultBuckets are the ones of Prometheus client libraries, made for seconds.
func defaultBuckets() *Buckets {
	return NewBuckets([]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10})
}

// Bounds returns the finite bounds, ascending. It is shared and must not be changed.
func (b *Buckets) Bounds() []float64 { return b.bounds }

// Rendered returns the text of each bound and of +Inf, for text 0.0.4 or OpenMetrics.
func (b *Buckets) Rendered(om bool) []string {
	if om {
		return b.om
	}
	return b.text
}

// FormatBound formats a value of the labels le and quantile. OpenMetrics wants the
// canonical form of a float, so 1 is 1.0 there; older servers know text 0.0.4 as 1.
func FormatBound(v float64, om bool) string {
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if om && !strings.ContainsAny(s, ".eEn") {
		s += ".0"
	}
	return s
}
