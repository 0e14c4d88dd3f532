package rules_test

import (
	"fmt"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

func TestParse_MakesBaseUnitsOfTexts(t *testing.T) {
	for _, c := range []struct {
		parse, text string
		want        float64
	}{
		{"bool", "true", 1}, {"bool", "Yes", 1}, {"bool", "UP", 1}, {"bool", "off", 0}, {"bool", "unhealthy", 0},
		{"time", "2025-09-11T06:48:26Z", 1757573306}, {"time", "2025-09-11T06:48:26.5+00:00", 1757573306.5}, {"time", "2025-09-11 06:48:26", 1757573306},
		{"time", "Thu, 11 Sep 2025 06:48:26 GMT", 1757573306}, {"time", "11/Sep/2025:08:48:26 +0200", 1757573306}, {"time", "1757573306", 1757573306}, {"time", "1757573306000", 1757573306},
		{"duration", "1m30s", 90}, {"duration", "250ms", 0.25}, {"duration", "1:02:03", 3723}, {"duration", "42.5", 42.5}, {"duration", "-3s", -3},
		{"bytes", "12MB", 12e6}, {"bytes", "1.5 GiB", 1.5 * (1 << 30)}, {"bytes", "512k", 512e3}, {"bytes", "7 bytes", 7}, {"bytes", "7", 7}, {"bytes", "2KiB", 2048},
		{"percent", "12.5%", 0.125}, {"percent", "100 %", 1}, {"percent", "3", 0.03},
		{"number", " 4.5 ", 4.5}, {"", "4.5", 4.5},
	} {
		got := page(t, []rules.Rule{{Match: "v", Name: "v", Parse: c.parse}}, fmt.Sprintf(`{"v":%q}`, c.text))
		if got["v "] != c.want || len(got) != 1 {
			t.Errorf("parse: %s of %q: %v, want %v", c.parse, c.text, got, c.want)
		}
	}
}

func TestParse_CountsTextsThatAreNoNumbers(t *testing.T) {
	for _, c := range []struct{ parse, text string }{
		{"bool", "maybe"}, {"time", "yesterday"}, {"duration", "1:x"}, {"duration", ""}, {"bytes", "12XB"}, {"bytes", "MB"}, {"bytes", ""}, {"percent", "%"}, {"number", "NaN"}, {"number", "1e999"}, {"", "n/a"},
	} {
		r := newRounds(t, series.Limits{}, rules.Rule{Match: "v", Name: "v", Parse: c.parse})
		r.want(fmt.Sprintf(`{"v":%q}`, c.text), map[string]float64{})
		if n := refusals(t, r.store); n != 1 {
			t.Errorf("parse: %s of %q: counted %v times", c.parse, c.text, n)
		}
	}
}

func TestFeed_CountsValuesThatACounterCannotHaveAndKeepsTheOthers(t *testing.T) {
	r := newRounds(t, series.Limits{}, rules.Rule{Match: "d", Name: "d_total", Type: "delta"}, rules.Rule{Match: "c", Name: "c_total"})
	r.want(`{"c":-1,"d":-1,"g":-1}`, map[string]float64{"app_g ": -1})
	if n := refusals(t, r.store); n != 2 {
		t.Errorf("%v are counted, want 2", n)
	}
	r.want(`{"c":5,"d":5}`, map[string]float64{"c_total ": 5, "d_total ": 5})
	r.want(`{"c":-5,"d":-5}`, map[string]float64{}) // the last value is not served as fresh
	r.want(`{"c":6,"d":6}`, map[string]float64{"c_total ": 6, "d_total ": 11})
	r.want(`{"c":1e300,"d":1e300,"g":1e300}`, map[string]float64{"app_g ": 1e300, "c_total ": 1e300, "d_total ": 1e300 + 11})
}

func TestRules_ScaleByPowersOfTenRoundsOnce(t *testing.T) {
	got := page(t, []rules.Rule{{Match: "a", Name: "a", Unit: "us"}, {Match: "b", Name: "b", Scale: 0.001}, {Match: "c", Name: "c", Unit: "percent"}}, `{"a":679,"b":729,"c":35}`)
	want := map[string]float64{"a_seconds ": 0.000679, "b ": 0.729, "c_ratio ": 0.35}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNearest_SaysWhereARuleAndAPathPart(t *testing.T) {
	set, err := rules.New([]rules.Rule{{Match: "pools.{pool}.used"}, {Match: "pools.{pool}.state.code"}, {Match: "debug.**.x"}, {Regex: "pools.*"}, {Match: "jobs.done", Kind: "counter"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path []string
		want string
	}{
		{[]string{"pools", "a", "usd"}, `pools.{pool}.used, which has "used" where "usd" stands`},
		{[]string{"pools", "a", "used", "now"}, `pools.{pool}.used, which ends before "now"`},
		{[]string{"pools", "a", "state"}, `pools.{pool}.state.code, which goes on with "code"`},
		{[]string{"poools", "a", "used"}, `pools.{pool}.used, which has "pools" where "poools" stands`},
		{[]string{"debug", "a", "y"}, `debug.**.x, which has ** and then asks for another end`},
		{[]string{"jobs", "done"}, `jobs.done, which is for other kinds of values (kind: counter)`},
		{[]string{"something", "else"}, ``},
	} {
		var path [][]byte
		for _, s := range c.path {
			path = append(path, []byte(s))
		}
		got := ""
		if r, why := set.Nearest(path); r != nil {
			got = r.Match + ", " + why
		}
		if got != c.want {
			t.Errorf("%v: %s, want %s", c.path, got, c.want)
		}
	}
}
