package rules_test

import (
	"bytes"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose/judge"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// FuzzPassThrough leads any exposition, as it is and through rules, to a page that a strict reader takes.
func FuzzPassThrough(f *testing.F) {
	for _, doc := range []string{
		everyType, "# TYPE h histogram\nh_bucket{le=\"-1\"} 1\nh_bucket{le=\"1\"} 0\nh_bucket{le=\"+Inf\"} 3\nh_sum NaN\nh_count 2\n",
		"# TYPE s summary\ns{quantile=\"NaN\"} 1\ns{quantile=\"1\",quantile=\"0\"} 1\ns_sum -1\ns_count -1\n", "# TYPE a counter\na NaN\na_total -1\na_total{le=\"1\"} 1e400\n",
		"# TYPE a gaugehistogram\na_bucket{le=\"1\"} 1\na_gsum 1\n# TYPE a_bucket gauge\na_bucket 1\n", "# TYPE a stateset\na{b=\"x\"} 1\na{a=\"x\",a=\"y\"} 1\n# TYPE a_info info\na_info 2\n",
		"# TYPE \"\" counter\n{\"\"} 1\n{\"a\",\"a\"} 1\n{\"é\",le=\"1\"} 1\n# TYPE é histogram\né_bucket{le=\"+Inf\"} 1\n", "# UNIT a_x x\n# TYPE a_x counter\n# HELP a_x \\x\\n\\\"\na_x_total{__name__=\"b\",quantile=\"1\"} 1\n",
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		for _, list := range [][]rules.Rule{nil, {
			{Match: "h*", Name: "renamed", Unit: "ms", Labels: map[string]string{"le": "x", "v": "{value}"}}, {Match: "s*", Labels: map[string]string{"quantile": "x"}},
			{Match: "a*", Name: "a_total", Continue: true}, {Match: "*_total", Name: "plain"}, {Match: "c*", Name: "c", Type: "histogram"}, {Match: "d*", Name: "h", Type: "summary"},
		}} {
			set, err := rules.New(list, "")
			if err != nil {
				t.Fatal(err)
			}
			store := series.New(series.Options{ReservedPrefix: "adapter_", Limits: series.Limits{Series: 60, PerSource: 50}})
			feed := set.Feed(store, store.Source("s"))
			for range 2 {
				feed.Begin()
				_ = decode.Prometheus(doc, feed) // any input may be refused
				feed.Commit()
			}
			var page bytes.Buffer
			if err := expose.New(store, nil, nil).Write(&page, expfmt.FmtOpenMetrics_1_0_0.WithEscapingScheme(model.UnderscoreEscaping)); err != nil {
				t.Fatal(err)
			}
			if err := judge.OpenMetrics(page.String()); err != nil {
				t.Fatalf("%v\n%s", err, page.String())
			}
		}
	})
}
