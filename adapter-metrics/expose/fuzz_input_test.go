package expose_test

import (
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose/judge"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/preset"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// way is one from input to series.
type way struct {
	name string
	into func(*series.Store, *series.Source, []byte)
}

// ways are all decoders: of documents with the default naming, with rules and with each preset's, and of lines.
func ways(t testing.TB) []way {
	var out []way
	document := func(name, format string, list []rules.Rule) {
		set, err := rules.New(list, "app")
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, way{name, func(store *series.Store, src *series.Source, input []byte) {
			feed := set.Feed(store, src)
			for range 2 { // the second time by what is remembered
				feed.Begin()
				_ = decode.Format(format)(input, feed) // any input may be refused
				feed.Commit()
			}
		}})
	}
	for _, format := range decode.FormatNames() {
		document(format, format, nil)
		document(format+" with rules", format, []rules.Rule{
			{Match: "*.{x}.**", Name: "a_total", Labels: map[string]string{"y": "{value}"}}, {Match: "**", Name: "a", Type: "summary", Continue: true},
			{Match: "*", Name: "b", Type: "histogram"}, {Match: "{x}.{y}", Name: "c", Type: "stateset", States: []string{"a", "1"}}, {Match: "*.*.*", Name: "d", Type: "info"},
		})
	}
	lines := func(name string, make func(*series.Store, *series.Source) interface{ Decode([]byte) }) {
		out = append(out, way{name, func(store *series.Store, src *series.Source, input []byte) { make(store, src).Decode(input) }})
	}
	for _, name := range preset.Names() {
		p, err := preset.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Format != "" {
			document("preset "+name, p.Format, p.Rules)
			continue
		}
		set, err := rules.New(p.Rules, "")
		if err != nil {
			t.Fatal(err)
		}
		lines("preset "+name, func(s *series.Store, src *series.Source) interface{ Decode([]byte) } {
			return decode.NewStatsD(s, src, set.Mapper())
		})
	}
	lines("statsd", func(s *series.Store, src *series.Source) interface{ Decode([]byte) } {
		return decode.NewStatsD(s, src, nil)
	})
	lines("graphite", func(s *series.Store, src *series.Source) interface{ Decode([]byte) } {
		return decode.NewGraphite(s, src, nil)
	})
	for _, o := range []decode.LogOptions{{Format: "json"}, {Format: "logfmt"}, {Pattern: "{a} {b} {}"}} {
		o.Metrics = []decode.LogMetric{{Name: "l", Set: "a", Labels: []string{"b"}}, {Name: "l_total", Labels: []string{"a"}}, {Name: "h", Observe: "b"}}
		lines("log "+o.Format, func(s *series.Store, src *series.Source) interface{ Decode([]byte) } {
			d, err := decode.NewLog(s, src, o)
			if err != nil {
				t.Fatal(err)
			}
			return d
		})
	}
	return out
}

// FuzzInput leads any input through every decoder and reads the page that it makes.
func FuzzInput(f *testing.F) {
	for _, input := range []string{
		`{"a":{"b":-1.5,"c":"1"},"d":[1,{"x":true}],"e":"UP"}`, "a: 1\nb=2\n", "n,v\na,1\n", "# S\r\nrole:master\r\ndb0:keys=1,expires=0\r\n", "STAT a 5\r\nSTAT 1:x 2\r\nEND\r\n",
		"Active connections: 2\nserver accepts handled requests\n 1 2 3\nReading: 0 Writing: 1 Waiting: 1\n", "Total Accesses: 3\nScoreboard: __W\n",
		"# pxname,svname,scur\nweb,FRONTEND,1\n", "# TYPE a counter\na_total{x=\"1\"} 5\n# EOF\n", "a:-5|ms\nb:1|c|#x:y\nc:a|s\nd:+1|g\n_sc|n|0\n", "a.b;x=y -3e5 4\n", "{\"a\":\"x\",\"b\":-1}\n", "a=x b=-2\n", "x -2 y\n",
	} {
		f.Add([]byte(input))
	}
	all := ways(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, w := range all {
			s := series.New(series.Options{ReservedPrefix: "adapter_", Limits: series.Limits{Series: 60, PerSource: 50, SetMembers: 10}})
			w.into(s, s.Source("s"), input)
			h := expose.New(s, nil, nil)
			h.Created = true
			page := string(pageOf(t, h, expfmt.FmtOpenMetrics_1_0_0.WithEscapingScheme(model.UnderscoreEscaping)))
			if err := judge.OpenMetrics(page); err != nil {
				t.Fatalf("%s: %v\n%s", w.name, err, page)
			}
			p := expfmt.NewTextParser(model.UTF8Validation)
			text := render(t, s, expfmt.FmtText.WithEscapingScheme(model.NoEscaping))
			if _, err := p.TextToMetricFamilies(strings.NewReader(text)); err != nil {
				t.Fatalf("%s: %v\n%s", w.name, err, text)
			}
		}
	})
}
