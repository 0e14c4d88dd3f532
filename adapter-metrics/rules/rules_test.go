package rules_test

import (
	"fmt"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// page runs a document through rules and returns name{labels} → value.
func page(t *testing.T, list []rules.Rule, doc string) map[string]float64 {
	t.Helper()
	set, err := rules.New(list, "app")
	if err != nil {
		t.Fatal(err)
	}
	store := series.New(series.Options{})
	feed := set.Feed(store, store.Source("s"))
	feed.Begin()
	if err := decode.JSON([]byte(doc), feed); err != nil {
		t.Fatal(err)
	}
	feed.Commit()
	got := map[string]float64{}
	for _, f := range store.Families() {
		for _, x := range f.List() {
			got[x.Text()] = x.Value()
		}
	}
	return got
}

func TestRules_TurnADocumentIntoSeries(t *testing.T) {
	for _, c := range []struct {
		claim string
		rules []rules.Rule
		doc   string
		want  map[string]float64
	}{
		{"without rules every number finds its way", nil, `{"db":{"pool_used":3},"ok":true,"name":"x"}`,
			map[string]float64{"app_db_pool_used ": 3, "app_ok ": 1}},
		{"array positions and keys that are no identifiers become labels", nil, `{"pools":[{"busy":1},{"busy":2}],"routes":{"/a":{"hits":5}}}`,
			map[string]float64{`app_pools_busy{pool="0"} `: 1, `app_pools_busy{pool="1"} `: 2, `app_routes_hits{route="/a"} `: 5}},
		{"the most specific rule wins", []rules.Rule{{Match: "**", Drop: true}, {Match: "a.{x}", Name: "wild"}, {Match: "a.b", Name: "exact"}}, `{"a":{"b":1,"c":2},"d":3}`,
			map[string]float64{"exact ": 1, `wild{x="c"} `: 2}},
		{"a unit converts the value and names the base unit", []rules.Rule{{Match: "t", Name: "took", Unit: "ms"}}, `{"t":1500}`,
			map[string]float64{"took_seconds ": 1.5}},
		{"siblings and ancestors become labels wherever they stand", []rules.Rule{{Match: "p.{p}.n", Name: "n", Labels: map[string]string{"host": ".host", "zone": "...zone"}}, {Match: "**", Drop: true}},
			`{"p":{"a":{"n":4,"host":"h"}},"zone":"z"}`, map[string]float64{`n{host="h",p="a",zone="z"} `: 4}},
		{"a label keeps its source text", []rules.Rule{{Match: "n", Name: "n", Labels: map[string]string{"id": ".id"}}, {Match: "id", Drop: true}}, `{"id":420465847726953,"n":1}`,
			map[string]float64{`n{id="420465847726953"} `: 1}},
		{"a stateset has one series a state, and none is 1 for a state that is not among them", []rules.Rule{{Match: "p.{p}.s", Name: "state", Type: "stateset", States: []string{"on", "off"}}}, `{"p":{"a":{"s":"off"},"b":{"s":"lost"}}}`,
			map[string]float64{`state{p="a",state="on"} `: 0, `state{p="a",state="off"} `: 1, `state{p="b",state="on"} `: 0, `state{p="b",state="off"} `: 0}},
		{"a regex is anchored and takes what no match does", []rules.Rule{{Match: "a.b", Name: "exact"}, {Regex: `a\.(?P<x>\w+)`, Name: "rest"}}, `{"a":{"b":1,"c":2},"aa":{"c":3}}`,
			map[string]float64{"exact ": 1, `rest{x="c"} `: 2, "app_aa_c ": 3}},
		{"an object's key becomes a label at any depth", []rules.Rule{{Match: "**.{queue}.depth", Name: "depth"}}, `{"x":{"y":{"mail":{"depth":4}}}}`,
			map[string]float64{`depth{queue="mail"} `: 4}},
		{"a map makes numbers of texts", []rules.Rule{{Match: "s", Name: "up", Map: map[string]float64{"UP": 1}}}, `{"s":"UP"}`, map[string]float64{"up ": 1}},
		{"continue lets the next rule have the value too", []rules.Rule{{Match: "a", Name: "one", Continue: true}, {Match: "*", Name: "two"}}, `{"a":1}`,
			map[string]float64{"one ": 1, "two ": 1}},
	} {
		if got := page(t, c.rules, c.doc); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s:\n got %v\nwant %v", c.claim, got, c.want)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"\u00e9"}],"c":-1e3,"d":null}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, err := rules.New([]rules.Rule{{Match: "a.{x}", Name: "m", Labels: map[string]string{"s": ".b", "u": "..c"}}}, "app")
		if err != nil {
			t.Fatal(err)
		}
		store := series.New(series.Options{})
		feed := set.Feed(store, store.Source("s"))
		feed.Begin()
		_ = decode.JSON(doc, feed) // any input may be refused, none may panic
		feed.Commit()
	})
}
