package decode

import "testing"

func TestAdopt_OfALogKeepsASeriesOnlyWhereItsMetricMeansTheSame(t *testing.T) {
	count := LogMetric{Name: "hits_total", Labels: []string{"who"}}
	took := LogMetric{Name: "took_seconds", Observe: "rt"}
	with := func(m LogMetric, change func(*LogMetric)) LogMetric { change(&m); return m }
	for _, c := range []struct {
		claim   string
		pattern string
		after   []LogMetric
		want    string
	}{
		{"nothing changed", "{who} {rt:s}", []LogMetric{count, took}, `hits_total{who="a"} 2; took_seconds_sum 4; took_seconds_count 2`},
		{"another order and a new metric", "{who} {rt:s}", []LogMetric{took, {Name: "last", Set: "rt"}, count}, `hits_total{who="a"} 2; last 2; took_seconds_sum 4; took_seconds_count 2`},
		{"another pattern with the same fields", "{rt:s} {who}", []LogMetric{count}, `hits_total{who="a"} 1; hits_total{who="2"} 1`},
		{"a field of another unit", "{who} {rt:ms}", []LogMetric{count, took}, `hits_total{who="a"} 2; took_seconds_sum 0.002; took_seconds_count 1`},
		{"other labels", "{who} {rt:s}", []LogMetric{with(count, func(m *LogMetric) { m.Labels = nil }), took}, `hits_total 1; took_seconds_sum 4; took_seconds_count 2`},
		{"another name", "{who} {rt:s}", []LogMetric{with(count, func(m *LogMetric) { m.Name = "calls_total" })}, `calls_total{who="a"} 1`},
		{"other buckets", "{who} {rt:s}", []LogMetric{with(took, func(m *LogMetric) { m.Buckets = []float64{3} })}, `took_seconds_sum 2; took_seconds_count 1`},
		{"adds what it counted", "{who} {rt:s}", []LogMetric{with(count, func(m *LogMetric) { m.Add = "rt" })}, `hits_total{who="a"} 2`},
	} {
		old, store := newLog(t, LogOptions{Pattern: "{who} {rt:s}", Metrics: []LogMetric{count, took}})
		old.Decode([]byte("a 2\n"))
		fresh, err := NewLog(store, store.Source("log"), LogOptions{Pattern: c.pattern, Metrics: c.after})
		if err != nil {
			t.Fatal(err)
		}
		fresh.Adopt(old)
		fresh.Decode([]byte("a 2\n"))
		if got := samples(t, store); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.claim, got, c.want)
		}
	}
}
