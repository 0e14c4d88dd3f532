package decode

import (
	"math"
	"slices"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// groups are the histograms or summaries of one family: one for each set of labels. Lines of one mostly follow each other.
type groups struct {
	list []group
	last int
	by   map[string]int // by key, once there are several
	key  []byte
}

// group is one histogram or summary on its way to be whole.
type group struct {
	key              string
	labels           []sample.Label // without le and quantile
	dist             sample.Dist
	infinite, counts float64 // the +Inf bucket, and _count; NaN for none
	summed           bool    // there is a _sum
	bad              bool
}

func (g *groups) reset() {
	g.list, g.last = g.list[:0], 0
	clear(g.by)
}

// add takes one line.
func (g *groups) add(kind sample.Kind, suffix string, labels []sample.Label, v float64) {
	special := "quantile"
	if kind == sample.Histogram {
		special = "le"
	}
	at, own := math.NaN(), labels[:0]
	for _, l := range labels {
		if l.Name == special && (suffix == "_bucket" || suffix == "") {
			if bound, ok := expositionNumber(l.Value); ok {
				at = bound
			}
			continue
		}
		own = append(own, l)
	}
	order(own, func(a, b sample.Label) bool { return a.Name < b.Name })
	to := g.find(own)
	switch suffix {
	case "_sum":
		to.dist.Sum, to.summed = v, true
	case "_count":
		to.counts = v
	default:
		to.point(kind, at, v)
	}
}

func (to *group) point(kind sample.Kind, at, v float64) {
	switch {
	case at != at, len(to.dist.Points) == maxPoints:
		to.bad = true
	case kind == sample.Histogram && math.IsInf(at, 1):
		to.infinite = v
	default:
		to.dist.Points = append(to.dist.Points, sample.Point{At: at, Value: v})
	}
}

func (g *groups) find(labels []sample.Label) *group {
	g.key = g.key[:0]
	for _, l := range labels {
		g.key = append(append(append(append(g.key, l.Name...), 0), l.Value...), 0)
	}
	if g.last < len(g.list) && g.list[g.last].key == string(g.key) {
		return &g.list[g.last]
	}
	if i, known := g.by[string(g.key)]; known {
		g.last = i
		return &g.list[i]
	}
	if g.by == nil {
		g.by = map[string]int{}
	}
	g.last = len(g.list)
	key := string(g.key)
	g.by[key] = g.last
	g.list = append(g.list, group{key: key, infinite: math.NaN(), counts: math.NaN(), labels: slices.Clone(labels)})
	return &g.list[g.last]
}

// whole is the distribution, or nil for lines that make none: without a count, or with one that is no whole number.
func (g *group) whole(kind sample.Kind) *sample.Dist {
	n := g.counts
	if g.infinite == g.infinite {
		n = g.infinite
	}
	g.dist.Without = sample.Without{NoSum: !g.summed}
	if n != n && kind == sample.Summary {
		n, g.dist.NoCount = 0, true // it may do without
	}
	if g.bad || !(n >= 0) || n >= 1<<63 || n != math.Trunc(n) {
		return nil
	}
	g.dist.Count = uint64(n)
	order(g.dist.Points, func(a, b sample.Point) bool { return a.At < b.At })
	return &g.dist
}

// order sorts a few elements that mostly are in order already.
func order[T any](list []T, less func(a, b T) bool) {
	for i := 1; i < len(list); i++ {
		for j := i; j > 0 && less(list[j], list[j-1]); j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
}
