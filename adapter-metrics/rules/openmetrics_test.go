package rules_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose/judge"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// openMetrics has the MUSTs of OpenMetrics 1.0 that a page can keep or break, each with the specification's section, in its
// order. What a page becomes is read off what is exposed of it, which our judge takes in every case. A page is refused where a
// line is none; what no strict reader could take is left out and counted (1×); what text 0.0.4 allows, which cannot be told from
// OpenMetrics by its lines, passes in a form that OpenMetrics allows too. The MUSTs of the transport are tested where that is:
// the content type and negotiation in expose, a page without its # EOF with the running adapter.
var openMetrics = []struct{ section, doc, want string }{
	{"Values", "# TYPE a gauge\na 1.5\na{n=\"1\"} NaN\na{n=\"2\"} -Inf\n", `gauge; a 1.5; a{n="1"} NaN; a{n="2"} -Inf`},
	{"LabelSet", "# TYPE a gauge\na{x=\"1\",x=\"2\"} 1\n", `gauge; a{x="1"} 1`},
	{"LabelSet", "# TYPE a gauge\na{x=\"\"} 1\n", `gauge; a 1`},
	{"Label", "# TYPE a gauge\na{__x=\"1\"} 1\n", `gauge; a{exported_x="1"} 1`},
	{"Exemplars", "# TYPE a counter\na_total 1 # {x=\"" + strings.Repeat("x", 200) + "\"} 1\n", `counter; a_total 1`},
	{"MetricFamily", "# TYPE a gauge\na{x=\"1\"} 1\na{x=\"1\"} 2\n", `gauge; a{x="1"} 2; 1×`},
	{"Name", "# TYPE a gauge\na 1\n# TYPE a gauge\na 2\n", `gauge; a 2; 1×`},
	{"Name", "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\na{x=\"1\"} 2\n", `gauge; a 1; a{x="1"} 2; gauge; b 1`},
	{"Name", "# TYPE a gauge\na 1\n# TYPE a counter\na_total 2\n", `gauge; a 1; 1×`},
	{"Name", "# TYPE __a gauge\n__a 1\n", `1×`},
	{"Name", "# TYPE _a gauge\n_a 1\n", `gauge; _a 1`},
	{"Suffixes", "# TYPE a counter\na_total 1\n# TYPE a_created gauge\na_created 2\n", `counter; a_total 1; 1×`},
	{"Suffixes", "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum 1\n# TYPE a_count gauge\na_count 2\n", `histogram; a_bucket{le="+Inf"} 1; a_sum 1; a_count 1; 1×`},
	{"Unit", "# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 1\n", `gauge; in seconds; a_seconds 1`},
	{"Unit", "# TYPE a gauge\n# UNIT a seconds\na 1\n", `gauge; a 1`},
	{"Counter", "# TYPE a counter\na_total 1\n", `counter; a_total 1`},
	{"Counter", "# TYPE a counter\na_total NaN\n", `1×`},
	{"Counter", "# TYPE a counter\na_total -1\n", `1×`},
	{"Counter", "# TYPE a counter\na_total +Inf\n", `1×`},
	{"Counter", "# TYPE a counter\na 1\n", `unknown; a 1`},
	{"StateSet", "# TYPE a stateset\na{a=\"x\"} 1\na{a=\"y\"} 0\n", `stateset; a{a="x"} 1; a{a="y"} 0`},
	{"StateSet", "# TYPE a stateset\na 1\n", `1×`},
	{"StateSet", "# TYPE a stateset\na{a=\"x\"} 2\n", `1×`},
	{"StateSet", "# TYPE a_s stateset\n# UNIT a_s s\na_s{a_s=\"x\"} 1\n", `stateset; a_s{a_s="x"} 1`},
	{"Info", "# TYPE a info\na_info{x=\"1\"} 1\n", `info; a_info{x="1"} 1`},
	{"Info", "# TYPE a info\na_info{x=\"1\"} 2\n", `info; a_info{x="1"} 1`},
	{"Info", "# TYPE a info\na{x=\"1\"} 1\n", `info; a_info{x="1"} 1`},
	{"Info", "# TYPE a_s info\n# UNIT a_s s\na_s_info{x=\"1\"} 1\n", `info; a_s_info{x="1"} 1`},
	{"Histogram", "# TYPE a histogram\na_bucket{le=\"-1.0\"} 1\na_bucket{le=\"+Inf\"} 2\n", `histogram; a_bucket{le="-1.0"} 1; a_bucket{le="+Inf"} 2`},
	{"Histogram", "# TYPE a histogram\na_count 1\na_sum 1\n", `histogram; a_bucket{le="+Inf"} 1; a_sum 1; a_count 1`},
	{"Histogram", "# TYPE a histogram\na_bucket 1\na_count 1\n", `1×`},
	{"Histogram", "# TYPE a histogram\na_sum 1\n", `1×`},
	{"Histogram", "# TYPE a histogram\na_bucket{le=\"1.0\"} 1\n", `1×`},
	{"Histogram", "# TYPE a histogram\na_bucket{le=\"1.0\"} 2\na_bucket{le=\"2.0\"} 1\na_bucket{le=\"+Inf\"} 2\n", `1×`},
	{"Histogram", "# TYPE a histogram\na_bucket{le=\"1.0\"} 1\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 2\n", `1×`},
	{"Histogram", "# TYPE a histogram\na_bucket{le=\"NaN\"} 1\na_bucket{le=\"+Inf\"} 2\n", `1×`},
	{"Histogram", "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1.5\n", `1×`},
	{"Histogram", "# TYPE a histogram\na_bucket{le=\"+Inf\"} -1\n", `1×`},
	{"Histogram", "# TYPE a histogram\na_bucket{le=\"+Inf\"} NaN\n", `1×`},
	{"Histogram", "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum NaN\n", `1×`},
	{"Histogram", "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum -1\n", `histogram; a_bucket{le="+Inf"} 1`},
	{"Histogram", "# TYPE a histogram\na_bucket{le=\"-1.0\"} 1\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum -1\n", `histogram; a_bucket{le="-1.0"} 1; a_bucket{le="+Inf"} 1`},
	{"Histogram", "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 2\na_sum 1\n", `histogram; a_bucket{le="+Inf"} 1; a_sum 1; a_count 1`},
	{"Histogram (text)", "# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_bucket{le=\"1.0\"} 1\na_count 2\na_sum 1\n", `histogram; a_bucket{le="1.0"} 1; a_bucket{le="+Inf"} 2; a_sum 1; a_count 2`},
	{"Histogram (text)", "# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_sum 1\n", `histogram; a_bucket{le="+Inf"} 2; a_sum 1; a_count 2`},
	{"GaugeHistogram", "# TYPE a gaugehistogram\na_bucket{le=\"1.0\"} 1\na_bucket{le=\"+Inf\"} 2\na_gcount 2\na_gsum -1\n", `unknown; a_bucket{le="1.0"} 1; a_bucket{le="+Inf"} 2; unknown; a_gcount 2; unknown; a_gsum -1`},
	{"GaugeHistogram", "# TYPE a gaugehistogram\na_bucket{le=\"1.0\"} -1\n", `unknown; a_bucket{le="1.0"} -1`},
	{"Summary", "# TYPE a summary\na{quantile=\"0.5\"} 1\na_count 2\na_sum 3\n", `summary; a{quantile="0.5"} 1; a_sum 3; a_count 2`},
	{"Summary", "# TYPE a summary\na{quantile=\"0.5\"} NaN\na_count 0\na_sum 0\n", `summary; a{quantile="0.5"} NaN; a_sum 0; a_count 0`},
	{"Summary", "# TYPE a summary\na{quantile=\"1.5\"} 1\n", `1×`},
	{"Summary", "# TYPE a summary\na{quantile=\"0.5\"} -1\n", `summary`},
	{"Summary", "# TYPE a summary\na{quantile=\"0.5\"} 1\n", `summary; a{quantile="0.5"} 1`},
	{"Summary", "# TYPE a summary\na_sum 3\n", `summary; a_sum 3`},
	{"Summary", "# TYPE a summary\na 1\n", `1×`},
	{"Summary", "# TYPE a summary\na_count 1.5\n", `1×`},
	{"Summary", "# TYPE a summary\na_count -1\n", `1×`},
	{"Summary", "# TYPE a summary\na_count 1\na_sum NaN\n", `1×`},
	{"Summary", "# TYPE a summary\na_count 1\na_sum -1\n", `summary; a_count 1`},
	{"Unknown", "# TYPE a unknown\na 1\n", `unknown; a 1`},
	{"Unknown", "# TYPE a unknown\na_total 1\n", `unknown; a_total 1`},
	{"Data transmission", "# TYPE a gauge\na 1\nb\n", `refused`},
	{"ABNF", "# TYPE a gauge\na 1 # {} \n", `gauge; a 1`},
	{"ABNF", "# TYPE a oddity\na 1\n", `unknown; a 1`},
	{"ABNF", "# TYPE a gauge\n0a 1\n", `unknown; _a 1`},
	{"ABNF", "# TYPE a gauge\na{0x=\"1\"} 1\n", `gauge; a{_x="1"} 1`},
	{"ABNF", "# TYPE a gauge\na{x='1'} 1\n", `refused`},
	{"ABNF", "# TYPE a gauge\na one\n", `refused`},
	{"ABNF", "# TYPE a gauge\na 1 x\n", `refused`},
	{"ABNF", "# TYPE a gauge\na 1 2 3\n", `refused`},
	{"ABNF", "# TYPE a counter\na_total 1 2 # {} 1 2\n", `counter; a_total 1`},
	{"Overall Structure", "# TYPE a gauge\na{x=\"\xff\"} 1\n", `gauge; a{x="�"} 1`},
	{"Overall Structure", "\xef\xbb\xbf# TYPE a gauge\na 1\n", `refused`},
	{"Overall Structure", "# TYPE a gauge\r\na 1\r\n", `gauge; a 1`},
	{"Overall Structure", "# TYPE a gauge\na 1\n# EOF\na 2\n", `refused`},
	{"Escaping", "# TYPE a gauge\na{x=\"\\n\\\"\\\\\"} 1\n", `gauge; a{x="\n\"\\"} 1`},
	{"Escaping", "# TYPE a gauge\na{x=\"\\a\"} 1\n", `gauge; a{x="\\a"} 1`},
	{"Numbers", "# TYPE a gauge\na{n=\"1\"} 0042\na{n=\"2\"} 1.89e-7\na{n=\"3\"} +inf\n", `gauge; a{n="1"} 42; a{n="2"} 1.89e-07; a{n="3"} +Inf`},
	{"Numbers", "# TYPE a gauge\na 1e400\n", `refused`},
	{"Numbers", "# TYPE a gauge\na 0x1\n", `refused`},
	{"Canonical Numbers", "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"1.1e+01\"} 1\na_bucket{le=\"+Inf\"} 1\n", `histogram; a_bucket{le="1.0"} 1; a_bucket{le="11.0"} 1; a_bucket{le="+Inf"} 1`},
	{"Timestamps", "# TYPE a gauge\na 1 1e9\n", `gauge; a 1`},
	{"MetricFamily metadata", "a 1\n", `unknown; a 1`},
	{"MetricFamily metadata", "# TYPE a gauge\n# HELP a\n# UNIT a\na 1\n", `gauge; a 1`},
	{"MetricFamily metadata", "# TYPE a gauge\n# TYPE a counter\na 1\n", `unknown; a 1`},
	{"MetricFamily metadata", "# hello\n# TYPE a gauge\na 1\n", `gauge; a 1`},
	{"Metric", "# TYPE a summary\na_count{x=\"1\"} 1\na_count{x=\"2\"} 1\na_sum{x=\"1\"} 1\na_sum{x=\"2\"} 1\n", `summary; a_sum{x="1"} 1; a_count{x="1"} 1; a_sum{x="2"} 1; a_count{x="2"} 1`},
	{"MetricPoint", "# TYPE a gauge\na 1 1\na 2 2\n", `gauge; a 2; 1×`},
}

func TestOpenMetrics_EachMUSTOfAPageThatPassesThrough(t *testing.T) {
	for _, c := range openMetrics {
		doc := c.doc
		if !strings.Contains(doc, "# EOF") {
			doc += "# EOF\n"
		}
		if got := passed(t, doc); got != c.want {
			t.Errorf("%s: %q\n got %s\nwant %s", c.section, c.doc, got, c.want)
		}
	}
}

// passed is what a page becomes: its samples and types.
func passed(t *testing.T, doc string) string {
	t.Helper()
	set, err := rules.New(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	conflicts := 0.0
	store := series.New(series.Options{Refused: func(error) { conflicts++ }})
	feed := set.Feed(store, store.Source("s"))
	feed.Begin()
	err = decode.Prometheus([]byte(doc), feed)
	feed.Commit()
	if err != nil {
		return "refused"
	}
	var page bytes.Buffer
	if err := expose.New(store, nil, nil).Write(&page, expfmt.FmtOpenMetrics_1_0_0.WithEscapingScheme(model.UnderscoreEscaping)); err != nil {
		t.Fatal(err)
	}
	if err := judge.OpenMetrics(page.String()); err != nil {
		t.Errorf("%q: %v\n%s", doc, err, page.String())
	}
	var out []string
	for line := range strings.Lines(page.String()) {
		line = strings.TrimSpace(line)
		if typ, ok := strings.CutPrefix(line, "# TYPE "); ok {
			_, typ, _ = strings.Cut(typ, " ")
			line = typ
		} else if unit, ok := strings.CutPrefix(line, "# UNIT "); ok {
			_, unit, _ = strings.Cut(unit, " ")
			line = "in " + unit
		} else if line[0] == '#' {
			continue
		}
		out = append(out, line)
	}
	if n := refusals(t, store) + conflicts; n > 0 {
		out = append(out, fmt.Sprintf("%g×", n))
	}
	return strings.Join(out, "; ")
}
