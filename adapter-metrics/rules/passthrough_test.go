package rules_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// through leads an exposition through rules and returns the page in the format.
func through(t *testing.T, format expfmt.Format, doc string, list ...rules.Rule) (string, *series.Store) {
	t.Helper()
	set, err := rules.New(list, "")
	if err != nil {
		t.Fatal(err)
	}
	store := series.New(series.Options{Refused: func(err error) { t.Error(err) }})
	src := store.Source("s")
	feed := set.Feed(store, src)
	for range 2 { // what is remembered of a round must not change the next one
		feed.Begin()
		if err := decode.Prometheus([]byte(doc), feed); err != nil {
			t.Fatal(err)
		}
		feed.Commit()
	}
	var b bytes.Buffer
	if err := expose.New(store, nil, nil).Write(&b, format); err != nil {
		t.Fatal(err)
	}
	return b.String(), store
}

// everyType has families of every type, sorted, written as the page writes them.
const everyType = `# TYPE a_bytes counter
# UNIT a_bytes bytes
# HELP a_bytes Bytes, with a \"quote\" and a \\ in it.
a_bytes_total{to="x"} 5
# TYPE badly.named gauge
# HELP badly.named Passed through as the source has it.
badly.named{not.plain="1"} 2
# TYPE camelCase_ms gauge
# HELP camelCase_ms No unit is guessed.
camelCase_ms 3
# TYPE h_seconds histogram
# UNIT h_seconds seconds
# HELP h_seconds Took.
h_seconds_bucket{route="/a",le="0.1"} 1
h_seconds_bucket{route="/a",le="1.0"} 2
h_seconds_bucket{route="/a",le="+Inf"} 4
h_seconds_sum{route="/a"} 9.5
h_seconds_count{route="/a"} 4
h_seconds_bucket{route="/b",le="0.25"} 0
h_seconds_bucket{route="/b",le="+Inf"} 0
h_seconds_sum{route="/b"} 0
h_seconds_count{route="/b"} 0
# TYPE i info
# HELP i What it is.
i_info{version="1"} 1
# TYPE job:recorded:sum gauge
# HELP job:recorded:sum With colons.
job:recorded:sum 1
# TYPE left_count unknown
# HELP left_count Of no type.
left_count 4
# TYPE s summary
# HELP s Quantiles.
s{quantile="0.5"} 1
s{quantile="0.99"} NaN
s_sum 2
s_count 2
# TYPE state stateset
# HELP state On or off.
state{state="off"} 0
state{state="on"} 1
# EOF
`

func TestPassThrough_KeepsNamesTypesUnitsHelpAndBounds(t *testing.T) {
	doc := strings.NewReplacer("# TYPE badly.named", `# TYPE "badly.named"`, "# HELP badly.named", `# HELP "badly.named"`,
		`badly.named{not.plain`, `{"badly.named","not.plain"`).Replace(everyType)
	om := expfmt.NewFormat(expfmt.TypeOpenMetrics).WithEscapingScheme(0)
	if got, _ := through(t, om, doc); got != doc {
		t.Errorf("got %s\nwant %s", got, doc)
	}
}

func TestPassThrough_TextCountersKeepNamesThatOpenMetricsHasNot(t *testing.T) {
	got, _ := through(t, expfmt.NewFormat(expfmt.TypeTextPlain), "# HELP accepted Connections.\n# TYPE accepted counter\naccepted 5\n")
	if want := "# TYPE accepted untyped\n# HELP accepted Connections.\naccepted 5\n"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestPassThrough_RulesRenameLabelConvertAndDrop(t *testing.T) {
	doc := `# TYPE took_ms histogram
# HELP took_ms Took.
took_ms_bucket{le="250"} 1
took_ms_bucket{le="+Inf"} 2
took_ms_sum 1500
took_ms_count 2
# TYPE s summary
s{quantile="0.5"} 100
s_sum 300
s_count 3
# TYPE state stateset
state{state="on"} 1
# TYPE go_threads gauge
go_threads 9
# TYPE up gauge
up 1
`
	got, store := through(t, expfmt.NewFormat(expfmt.TypeTextPlain), doc,
		rules.Rule{Match: "took_ms", Name: "shop_took", Unit: "ms", Labels: map[string]string{"zone": "a"}},
		rules.Rule{Match: "s", Name: "shop_wait", Unit: "ms"},
		rules.Rule{Match: "state", Name: "shop_state"},
		rules.Rule{Match: "go_*", Drop: true},
		rules.Rule{Match: "**", Labels: map[string]string{"zone": "a"}})
	want := `# TYPE shop_state gauge
# HELP shop_state Values at state of the source.
shop_state{shop_state="on"} 1
# TYPE shop_took_seconds histogram
# HELP shop_took_seconds Took.
shop_took_seconds_bucket{zone="a",le="0.25"} 1
shop_took_seconds_bucket{zone="a",le="+Inf"} 2
shop_took_seconds_sum{zone="a"} 1.5
shop_took_seconds_count{zone="a"} 2
# TYPE shop_wait_seconds summary
# HELP shop_wait_seconds Values at s of the source.
shop_wait_seconds{quantile="0.5"} 0.1
shop_wait_seconds_sum 0.3
shop_wait_seconds_count 3
# TYPE up gauge
# HELP up Values at ** of the source.
up{zone="a"} 1
`
	if n := store.Source("s").Unmatched.Load(); got != want || n != 0 {
		t.Errorf("%d unmatched\n got %s\nwant %s", n, got, want)
	}
}

func TestPassThrough_RefusesAndCountsDistributionsThatAreNone(t *testing.T) {
	for _, doc := range []string{
		"# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"+Inf\"} 2\n",
		"# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"2\"} 4\nh_bucket{le=\"+Inf\"} 9\n",
		"# TYPE h histogram\nh_bucket{le=\"1\"} 5\n",
		"# TYPE h histogram\nh_bucket{le=\"1\"} -5\nh_bucket{le=\"+Inf\"} -5\n",
		"# TYPE s summary\ns{quantile=\"2\"} 5\ns_count 1\n",
		"# TYPE a stateset\na{a=\"x\"} 2\n",
	} {
		page, store := through(t, expfmt.NewFormat(expfmt.TypeTextPlain), doc+"# TYPE fine gauge\nfine 1\n")
		if n := refusals(t, store); n != 2 || !strings.HasPrefix(page, "# TYPE fine gauge") {
			t.Errorf("%q: %v refused\n%s", doc, n, page)
		}
	}
}

// refusals is how many inputs could not be used.
func refusals(t *testing.T, store *series.Store) (n float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(store)
	own, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range own {
		for _, m := range f.Metric {
			if f.GetName() == "adapter_parse_errors_total" {
				n += m.Counter.GetValue()
			}
		}
	}
	return n
}
