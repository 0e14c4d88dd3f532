package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// besides are labels of a sibling and of a value beside the parent.
func besides() rules.Rule {
	return rules.Rule{Match: "pools.*.n", Name: "n", Labels: map[string]string{"pool": ".pool", "zone": "..zone"}}
}

func TestFeed_FollowsNeighboursThatChange(t *testing.T) {
	one := besides()
	one.Match = "pools.n"
	r := newRounds(t, series.Limits{}, one)
	r.want(`{"zone":"x","pools":{"pool":"a","n":1}}`, map[string]float64{`n{pool="a",zone="x"} `: 1})
	r.want(`{"zone":"x","pools":{"pool":"b","n":2}}`, map[string]float64{`n{pool="b",zone="x"} `: 2})
	r.want(`{"pools":{"n":3,"pool":"b"},"zone":"y"}`, map[string]float64{`n{pool="b",zone="y"} `: 3})
	r.want(`{"pools":{"n":4,"pool":"b"}}`, map[string]float64{`n{pool="b"} `: 4})
	r.want(`{}`, map[string]float64{})
	r.want(`{"pools":{"n":5,"pool":"b"}}`, map[string]float64{`n{pool="b"} `: 5})
	r.want(`{"pools":{"n":6,"pool":"b"}}`, map[string]float64{`n{pool="b"} `: 6})
}

func TestFeed_KeepsRememberedArrayElementsApartWhenTheyMove(t *testing.T) {
	r := newRounds(t, series.Limits{}, rules.Rule{Match: "*.n", Name: "n", Labels: map[string]string{"pool": ".pool"}})
	for i := range 6 {
		a, b := fmt.Sprintf(`{"pool":"a","n":1%d}`, i), fmt.Sprintf(`{"pool":"b","n":2%d}`, i)
		if i%3 == 1 {
			a, b = b, a
		}
		r.want("["+a+","+b+"]", map[string]float64{`n{pool="a"} `: float64(10 + i), `n{pool="b"} `: float64(20 + i)})
	}
}

func TestFeed_CountsEachLabelThatIsCutAgain(t *testing.T) {
	r := newRounds(t, series.Limits{LabelBytes: 3}, rules.Rule{Match: "*.n", Name: "n", Labels: map[string]string{"pool": ".pool"}})
	for range 3 {
		r.want(`[{"pool":"abcd","n":1}]`, map[string]float64{`n{pool="abc"} `: 1})
	}
	if got := gathered(t, r.store, "adapter_series_limited_total"); got != 3 {
		t.Errorf("counted %v cut labels, want 3", got)
	}
}

func TestFeed_MakesNoLabelOfANeighbourThatIsNotThere(t *testing.T) {
	r := newRounds(t, series.Limits{}, rules.Rule{Match: "a.value", Name: "a", Labels: map[string]string{"unit": ".baseUnit", "other": ".other"}})
	for range 2 {
		r.feed.Begin()
		if err := decode.Format("actuator")([]byte(`{"name":"a","baseUnit":"bytes","measurements":[{"statistic":"VALUE","value":1}]}`), r.feed); err != nil {
			t.Fatal(err)
		}
		r.feed.Commit()
		if got := r.store.Families()[0].List()[0].Text(); got != `a{unit="bytes"} ` {
			t.Errorf("got %s", got)
		}
	}
}

func TestFeed_AsksForNeighboursInEachObjectOfItsOwn(t *testing.T) {
	list := []rules.Rule{
		{Match: "a.n", Name: "outer", Labels: map[string]string{"pool": ".pool"}},
		{Match: "a.m", Name: "behind", Labels: map[string]string{"pool": ".pool"}},
		{Match: "a.b.n", Name: "inner", Labels: map[string]string{"pool": ".pool"}},
		{Match: "c.n", Name: "next", Labels: map[string]string{"pool": ".pool"}},
	}
	r := newRounds(t, series.Limits{}, list...)
	for _, p := range [][3]string{{"x", "x", "x"}, {"x", "y", "x"}, {"x", "x", "y"}, {"y", "x", "y"}} {
		r.want(fmt.Sprintf(`{"a":{"n":1,"pool":%q,"b":{"n":2,"pool":%q},"m":3},"c":{"n":4,"pool":%q}}`, p[0], p[1], p[2]), map[string]float64{
			fmt.Sprintf("outer{pool=%q} ", p[0]): 1, fmt.Sprintf("inner{pool=%q} ", p[1]): 2,
			fmt.Sprintf("behind{pool=%q} ", p[0]): 3, fmt.Sprintf("next{pool=%q} ", p[2]): 4,
		})
	}
}

// pools is a document whose numbers are told apart by their neighbours, which stand before and behind them.
func pools(n int) []byte {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"pool":"p%d","n":%d,"text":"some words","free":%d.5,"host":"h%d"}`, i, i, i, i)
	}
	return []byte(`{"zone":"x","pools":[` + strings.Join(list, ",") + `]}`)
}

func TestFeed_KnownSeriesWithLabelsOfNeighboursCostNoAllocation(t *testing.T) {
	list := []rules.Rule{besides(), {Match: "pools.*.free", Name: "free", Labels: map[string]string{"host": ".host"}}}
	if few, many := allocationsAgain(t, pools(10), list...), allocationsAgain(t, pools(2000), list...); many > few+1 {
		t.Errorf("20 series: %v allocations a document, 4000: %v", few, many)
	}
}

// BenchmarkFeed_Neighbours guards the cost of known series whose labels are the values beside them.
func BenchmarkFeed_Neighbours(b *testing.B) {
	r := newRounds(b, series.Limits{}, besides())
	doc := pools(4000)
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
