package decode

import (
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// named is a mapper that maps one name and leaves the others.
type named struct {
	name string
	to   Mapping
}

func (n named) Map(s *sample.Sample) (Mapping, bool) {
	if string(s.Path[0]) != n.name {
		return Mapping{}, false
	}
	return n.to, true
}

func TestAdopt_KeepsASeriesOnlyWhereItsNameMeansTheSame(t *testing.T) {
	counter := series.Desc{Name: "m", Type: series.Counter, Help: "M."}
	for _, c := range []struct {
		claim         string
		before, after Mapping
		line, want    string
	}{
		{"nothing changed", Mapping{Desc: counter}, Mapping{Desc: counter}, "a:2|c\nb:1|c", "b_total 2; m_total 4"},
		{"another name", Mapping{Desc: counter}, Mapping{Desc: series.Desc{Name: "n", Type: series.Counter}}, "a:2|c\nb:1|c", "b_total 2; n_total 2"},
		{"another help", Mapping{Desc: counter}, Mapping{Desc: series.Desc{Name: "m", Type: series.Counter, Help: "N."}}, "a:2|c", "m_total 2"},
		{"another scale", Mapping{Desc: counter}, Mapping{Desc: counter, Scale: 10}, "a:2|c", "m_total 20"},
		{"dropped now", Mapping{Desc: counter}, Mapping{Drop: true}, "a:2|c\nb:1|c", "b_total 2"},
		{"labelled now", Mapping{Desc: counter}, Mapping{Desc: counter, Labels: []sample.Label{{Name: "x", Value: []byte("y")}}}, "a:2|c", `m_total{x="y"} 2`},
		{"sampled as before", Mapping{Desc: counter}, Mapping{Desc: counter}, "a:2|c|@0.5", "m_total 8"},
		{"another type", Mapping{Desc: counter}, Mapping{Desc: series.Desc{Name: "m", Type: series.Gauge}}, "a:2|c", "m 2"},
		{"other buckets", Mapping{Desc: series.Desc{Name: "m", Type: series.Histogram, Buckets: series.NewBuckets([]float64{1})}},
			Mapping{Desc: series.Desc{Name: "m", Type: series.Histogram, Buckets: series.NewBuckets([]float64{2})}}, "a:2|h", "m_sum 2; m_count 1"},
		{"the default naming stays", Mapping{Desc: counter}, Mapping{Desc: counter}, "b:250|ms\nb:1|ms", "b_seconds_sum 0.502; b_seconds_count 4"},
	} {
		old, s := statsd(series.Limits{}, named{"a", c.before})
		old.Decode([]byte(c.line))
		fresh := NewStatsD(s, s.Source("statsd"), named{"a", c.after})
		fresh.Adopt(old)
		fresh.Decode([]byte(c.line))
		if got := samples(t, s); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.claim, got, c.want)
		}
	}
}

func TestAdopt_OfGraphiteKeepsWhatItWouldMakeAgain(t *testing.T) {
	s := series.New(series.Options{})
	old := NewGraphite(s, s.Source("g"), named{"a", Mapping{Desc: series.Desc{Name: "m", Type: series.Gauge}}})
	old.Decode([]byte("a 1 1\nb;x=y -2 1\n"))
	NewGraphite(s, s.Source("g"), named{"a", Mapping{Desc: series.Desc{Name: "n", Type: series.Gauge}}}).Adopt(old)
	if got := samples(t, s); got != `b{x="y"} -2` {
		t.Error(got)
	}
}
