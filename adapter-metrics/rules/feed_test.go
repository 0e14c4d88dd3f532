package rules_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// rounds feeds one document after another; an empty one is a source that is away.
type rounds struct {
	t     testing.TB
	store *series.Store
	src   *series.Source
	feed  *rules.Feed
}

func newRounds(t testing.TB, limits series.Limits, list ...rules.Rule) *rounds {
	t.Helper()
	set, err := rules.New(list, "app")
	if err != nil {
		t.Fatal(err)
	}
	store := series.New(series.Options{Limits: limits})
	src := store.Source("s")
	return &rounds{t, store, src, set.Feed(store, src)}
}

func (r *rounds) round(doc string) map[string]float64 {
	r.t.Helper()
	r.feed.Begin()
	if doc != "" {
		if err := decode.JSON([]byte(doc), r.feed); err != nil {
			r.t.Fatal(err)
		}
	}
	r.feed.Commit()
	got := map[string]float64{}
	for _, f := range r.store.Families() {
		for _, x := range f.List() {
			got[x.Text()] = x.Value()
		}
	}
	return got
}

func (r *rounds) want(doc string, want map[string]float64) {
	r.t.Helper()
	if got := r.round(doc); fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("%s:\n got %v\nwant %v", doc, got, want)
	}
}

// gathered sums what a counter of the helper's own has.
func gathered(t *testing.T, c prometheus.Collector, name string) (sum float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestFeed_VanishedSeriesVanishAndComeBack(t *testing.T) {
	r := newRounds(t, series.Limits{})
	r.want(`{"a":1,"b":2}`, map[string]float64{"app_a ": 1, "app_b ": 2})
	r.want(`{"b":3}`, map[string]float64{"app_b ": 3})
	r.want(``, map[string]float64{})
	r.want(`{"b":4,"a":5}`, map[string]float64{"app_a ": 5, "app_b ": 4})
}

func TestFeed_DeltaSumsSurviveARoundWithoutTheSource(t *testing.T) {
	r := newRounds(t, series.Limits{}, rules.Rule{Match: "n.{k}", Name: "n_total", Type: "delta"})
	r.want(`{"n":{"x":3}}`, map[string]float64{`n_total{k="x"} `: 3})
	r.want(``, map[string]float64{})
	r.want(`{"n":{"x":4}}`, map[string]float64{`n_total{k="x"} `: 7})
	r.want(`{"n":{"x":1}}`, map[string]float64{`n_total{k="x"} `: 8})
}

func TestFeed_RemembersOnlyWhatDependsOnThePathAlone(t *testing.T) {
	r := newRounds(t, series.Limits{},
		rules.Rule{Match: "n", Name: "n", Labels: map[string]string{"host": ".host"}},
		rules.Rule{Match: "v", Name: "v_info", Type: "info", Labels: map[string]string{"version": "{value}"}},
		rules.Rule{Match: "s", Name: "s", Type: "stateset", States: []string{"on", "off"}},
		rules.Rule{Match: "m", Name: "m", Map: map[string]float64{"UP": 1, "DOWN": 0}})
	r.want(`{"n":1,"host":"a","v":"1.0","s":"on","m":"UP"}`, map[string]float64{
		`n{host="a"} `: 1, `v_info{version="1.0"} `: 1, `s{s="on"} `: 1, `s{s="off"} `: 0, "m ": 1})
	r.want(`{"n":2,"host":"b","v":"1.1","s":"off","m":"DOWN"}`, map[string]float64{
		`n{host="b"} `: 2, `v_info{version="1.1"} `: 1, `s{s="on"} `: 0, `s{s="off"} `: 1, "m ": 0})
	r.want(`{"m":"ODD"}`, map[string]float64{})
	r.want(`{"m":"UP"}`, map[string]float64{"m ": 1})
}

func TestFeed_ObservesEveryValueOfAnArrayInOneHistogram(t *testing.T) {
	r := newRounds(t, series.Limits{}, rules.Rule{Match: "took_ms.*", Name: "took", Unit: "ms", Buckets: []float64{0.1}})
	r.round(`{"took_ms":[1,2,300]}`)
	if n := gathered(t, r.store, "adapter_parse_errors_total"); n != 0 {
		t.Errorf("%v problems", n)
	}
	var page bytes.Buffer
	if err := expose.New(r.store, nil, nil).Write(&page, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil || !strings.Contains(page.String(), "took_seconds_count 3") {
		t.Errorf("%v\n%s", err, &page)
	}
}

func TestFeed_TellsAPathFromAKeyWithADotInIt(t *testing.T) {
	r := newRounds(t, series.Limits{}, rules.Rule{Match: "a.b", Name: "deep"}, rules.Rule{Match: `a\.b`, Name: "flat"})
	for range 2 {
		r.want(`{"a":{"b":1},"a.b":2}`, map[string]float64{"deep ": 1, "flat ": 2})
	}
}

func TestFeed_CountsUnmatchedOnlyWhereThereAreRules(t *testing.T) {
	for _, c := range []struct {
		rules []rules.Rule
		want  uint64
	}{{nil, 0}, {[]rules.Rule{{Match: "a", Name: "a"}}, 2}} {
		r := newRounds(t, series.Limits{}, c.rules...)
		r.round(`{"a":1,"b":2}`)
		r.round(`{"a":1,"b":2}`)
		if got := r.src.Unmatched.Load(); got != c.want {
			t.Errorf("%d rules: %d unmatched, want %d", len(c.rules), got, c.want)
		}
	}
}

// document has n pools with three numbers and a text each.
func document(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"pools":{`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"pool-%d.x":{"used":%d,"free":%d.5,"took_ms":%d,"state":"UP"}`, i, i, i, i)
	}
	b.WriteString(`}}`)
	return b.Bytes()
}

func TestFeed_KnownSeriesCostNoAllocation(t *testing.T) {
	list := []rules.Rule{
		{Match: "pools.{pool}.used", Name: "used"}, {Match: "pools.{pool}.took_ms", Name: "took", Unit: "ms"},
		{Match: "pools.{pool}.state", Name: "up", Map: map[string]float64{"UP": 1}},
	}
	if few, many := allocationsAgain(t, document(10), list...), allocationsAgain(t, document(1000), list...); many > few+1 {
		t.Errorf("40 series: %v allocations a document, 4000: %v", few, many)
	}
}

// allocationsAgain is how many a document costs whose series are known.
func allocationsAgain(t *testing.T, doc []byte, list ...rules.Rule) float64 {
	r := newRounds(t, series.Limits{}, list...)
	r.round(string(doc))
	return testing.AllocsPerRun(5, func() {
		r.feed.Begin()
		_ = decode.JSON(doc, r.feed)
		r.feed.Commit()
	})
}

func FuzzJSON_TakesExactlyWhatTheStandardLibraryTakes(f *testing.F) {
	for _, doc := range []string{`{"a":[1,{"b":"\u00e9"}],"c":-1e3,"d":null}`, `[1,]`, `{"a":1,}`, `01`, `1.`, `-`, `"\x"`, "\"\n\"", `1e999`, `[tru]`, `"\u12g4"`, `-0.0E+1`, ` `} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		r := newRounds(t, series.Limits{})
		r.feed.Begin()
		err := decode.JSON(doc, r.feed)
		r.feed.Commit()
		if deep := bytes.Count(doc, []byte("["))+bytes.Count(doc, []byte("{")) > 100; !deep && (err == nil) != json.Valid(doc) {
			t.Errorf("%q: %v", doc, err)
		}
	})
}

// BenchmarkFeed guards the cost of a document whose series are known.
func BenchmarkFeed(b *testing.B) {
	r := newRounds(b, series.Limits{}, rules.Rule{Match: "pools.{pool}.used", Name: "used"})
	doc := document(4000)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		r.feed.Begin()
		if err := decode.JSON(doc, r.feed); err != nil {
			b.Fatal(err)
		}
		r.feed.Commit()
	}
}

func FuzzStatsDMapping(f *testing.F) {
	f.Add([]byte("defaults: {match_type: glob}\nmappings:\n- {match: 'a.*.b', name: 'x_${1}', labels: {k: $1}}\n- {match: '(.*)', match_type: regex, name: y, action: drop, ttl: 1m}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if list, err := rules.StatsDMapping(text); err == nil {
			if _, err := rules.New(list, ""); err != nil {
				t.Errorf("a mapping file was taken that makes no rules: %v", err)
			}
		}
	})
}
