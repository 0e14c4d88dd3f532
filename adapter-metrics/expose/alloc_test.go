//go:build !race

// The race detector makes sync.Pool forget things at random.

package expose_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/prometheus/common/expfmt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// TestWrite_AllocationsDoNotDependOnTheNumberOfSeries guards the scrape path.
func TestWrite_AllocationsDoNotDependOnTheNumberOfSeries(t *testing.T) {
	for _, format := range []expfmt.Format{expfmt.FmtText, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtProtoDelim} {
		for _, typ := range []series.Type{series.Counter, series.Histogram} {
			few, many := allocations(t, format, typ, 1), allocations(t, format, typ, 2000)
			if many > few {
				t.Errorf("%v, %s: %v allocations for one series, %v for 2000", format.FormatType(), typ, few, many)
			}
		}
	}
}

// allocations is how many a page of n series costs that has been written before.
func allocations(t *testing.T, format expfmt.Format, typ series.Type, n int) float64 {
	p := newPen(t, series.Limits{Series: 1e6, PerSource: 1e6})
	for i := range n {
		x := p.series(series.Desc{Name: "x", Type: typ}, label("id", fmt.Sprint(i)))
		x.Add(0.5)
		x.Observe(0.3, 1)
	}
	h := expose.New(p.store, nil, nil)
	return testing.AllocsPerRun(10, func() { // once more before it counts
		if err := h.Write(io.Discard, format); err != nil {
			t.Fatal(err)
		}
	})
}
