package expose_test

import (
	"testing"

	"github.com/prometheus/common/expfmt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

func TestWrite_InventsNoSumAndNoCountThatTheAppDoesNotTell(t *testing.T) {
	p := newPen(t, series.Limits{})
	neither := series.Distribution{Points: []series.Point{{At: 0.5, Value: 3}}, Without: sample.Without{NoCount: true, NoSum: true}}
	p.series(series.Desc{Name: "a", Type: series.Summary}).SetDistribution(&neither)
	noSum := series.Distribution{Count: 2, Without: sample.Without{NoSum: true}}
	p.series(series.Desc{Name: "b", Type: series.Histogram}).SetDistribution(&noSum)

	const text = "# TYPE a summary\na{quantile=\"0.5\"} 3\n# TYPE b histogram\nb_bucket{le=\"+Inf\"} 2\n"
	if got := render(t, p.store, expfmt.FmtText); got != text+"b_count 2\n" {
		t.Error(got)
	}
	// OpenMetrics 1.0, "Histogram": a count needs a sum.
	if got := render(t, p.store, expfmt.FmtOpenMetrics_1_0_0); got != text+"# EOF\n" {
		t.Error(got)
	}
	fams := parseProto(t, render(t, p.store, expfmt.FmtProtoDelim))
	if s := fams["a"].Metric[0].Summary; s.SampleCount != nil || s.SampleSum != nil || len(s.Quantile) != 1 {
		t.Error(s)
	}
	if h := fams["b"].Metric[0].Histogram; h.SampleSum != nil || h.GetSampleCount() != 2 {
		t.Error(h)
	}
}
