package expose_test

import (
	"math"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

func label(name, value string) sample.Label { return sample.Label{Name: name, Value: []byte(value)} }

// pen makes series in tests.
type pen struct {
	t     testing.TB
	store *series.Store
	src   *series.Source
}

func newPen(t testing.TB, l series.Limits) *pen {
	s := series.New(series.Options{Limits: l, ReservedPrefix: "adapter_"})
	return &pen{t: t, store: s, src: s.Source("zoo")}
}

func (p *pen) series(d series.Desc, labels ...sample.Label) *series.Series {
	p.t.Helper()
	f, err := p.store.Family(d)
	if err != nil {
		p.t.Fatal(err)
	}
	x, err := f.Series(p.src, labels...)
	if err != nil {
		p.t.Fatal(err)
	}
	return x
}

// zoo holds one of each type, with the labels and values that are easiest to get wrong.
func zoo(t testing.TB) *series.Store {
	p := newPen(t, series.Limits{})
	nasty := label("path", "C:\\dir\n\"quoted\",}{=größe")
	help := "Help with \\ and\nline and \"quotes\"."
	p.series(series.Desc{Name: "zoo_requests", Type: series.Counter, Help: help}, nasty).Add(1e15)
	p.series(series.Desc{Name: "zoo_requests", Type: series.Counter, Help: help}).Add(0.1)
	p.series(series.Desc{Name: "zoo_temperature_celsius", Type: series.Gauge, Unit: "celsius", Help: "Outside."}, label("where", "a")).Set(-1.5e-7)
	p.series(series.Desc{Name: "zoo_temperature_celsius", Type: series.Gauge, Unit: "celsius"}, label("where", "b")).Set(math.Inf(-1))
	p.series(series.Desc{Name: "zoo_raw", Type: series.Untyped, Help: "Untyped."}).Set(math.NaN())
	h := p.series(series.Desc{Name: "zoo_latency_seconds", Type: series.Histogram, Unit: "seconds", Help: "Latency."}, nasty)
	for _, v := range []float64{0, 0.003, 0.07, 1, 1, 42, 1e9} {
		h.Observe(v, 1)
	}
	h.Observe(0.2, 1/0.3)
	cold := p.series(series.Desc{Name: "zoo_change_ratio", Type: series.Histogram, Help: "Signed.", Buckets: series.NewBuckets([]float64{-1, 0, 1})})
	cold.Observe(-3, 1)
	cold.Observe(0.5, 2)
	sum := p.series(series.Desc{Name: "zoo_size_bytes", Type: series.Summary, Unit: "bytes", Help: "Sizes."})
	for i := range 1000 {
		sum.Observe(float64(i), 1)
	}
	p.series(series.Desc{Name: "zoo_idle_bytes", Type: series.Summary, Help: "Nothing yet."})
	p.series(series.Desc{Name: "zoo_drift_seconds", Type: series.Summary, Help: "Below zero."}).Observe(-2, 1)
	p.series(series.Desc{Name: "zoo_skew_seconds", Type: series.Histogram, Help: "Below zero.", Buckets: series.NewBuckets([]float64{1})}).Observe(-2, 1)
	p.series(series.Desc{Name: "zoo_build", Type: series.Info, Help: "Version."}, label("version", "1.2"))
	for i, s := range []string{"up", "down"} {
		p.series(series.Desc{Name: "zoo_state", Type: series.StateSet, Help: "State."}, label("zoo_state", s)).Set(float64(i))
	}
	u := p.series(series.Desc{Name: "zoo_users", Type: series.Gauge, Distinct: true, Help: "Distinct users."})
	u.AddMember(1)
	u.AddMember(2)
	p.series(series.Desc{Name: "zoo_ready_seconds", Type: series.Histogram, Help: "Counted by the app."}).SetDistribution(
		&series.Distribution{Count: 7, Sum: 3.5, Points: []series.Point{{At: 0.1, Value: 2}, {At: 1, Value: 6}}})
	return p.store
}

// utf8Zoo holds names that only a scraper with allow-utf-8 can read as they are.
func utf8Zoo(t testing.TB) *series.Store {
	p := newPen(t, series.Limits{})
	p.series(series.Desc{Name: "zoo.requests", Type: series.Counter, Help: "Dots."}, label("my.label", "1"), label("plain", "2")).Add(1)
	p.series(series.Desc{Name: "zoo.requests", Type: series.Counter}, label("my_label", "1"), label("plain", "2")).Add(2)
	p.series(series.Desc{Name: "zoo.größe", Type: series.Gauge, Help: "Umlaut."}).Set(3)
	p.series(series.Desc{Name: "zoo.latency", Type: series.Histogram, Help: "Histogram."}, label("a.b", "x")).Observe(1, 1)
	p.series(series.Desc{Name: "zoo_plain", Type: series.Gauge, Help: "Plain name, odd label."}, label("a b", "x"), label("a-b", "y")).Set(1)
	p.series(series.Desc{Name: "zoo_underscore_total", Type: series.Counter, Help: "Plain."}, label("a_b", "x")).Add(1)
	return p.store
}
