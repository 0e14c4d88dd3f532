package decode

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// statsd is a decoder with its own store.
func statsd(l series.Limits, m Mapper) (*StatsD, *series.Store) {
	s := series.New(series.Options{Limits: l, ReservedPrefix: "adapter_"})
	return NewStatsD(s, s.Source("statsd"), m), s
}

// samples renders a store as text without comments and without histogram buckets.
func samples(t testing.TB, s *series.Store) string {
	t.Helper()
	var page bytes.Buffer
	if err := expose.New(s, nil, nil).Write(&page, expfmt.FmtText); err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(page.String()) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "_bucket{") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(out, "; ")
}

// problems returns what a source has refused, as reason=count.
func problems(t testing.TB, s *series.Store) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(s)
	fams, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range fams {
		if f.GetName() != "adapter_parse_errors_total" {
			continue
		}
		for _, m := range f.Metric {
			out = append(out, fmt.Sprintf("%s=%v", m.Label[0].GetValue(), m.Counter.GetValue()))
		}
	}
	return strings.Join(out, " ")
}

func TestStatsD_LineByLine(t *testing.T) {
	for _, c := range []struct{ name, in, want, problems string }{
		{"counter", "a.b:3|c", `a_b_total 3`, ""},
		{"a value that is none leaves no series", "a:x|c\na:b:c|c\nb:x:y|ms", "", "value=3"},
		{"counters accumulate", "a:1|c\na:2.5|c\n", `a_total 3.5`, ""},
		{"counter, sampled", "a:1|c|@0.1", `a_total 10`, ""},
		{"counter, sampled unevenly", "a:1|c|@0.3\na:1|c|@0.3\na:1|c|@0.3", `a_total 10`, ""},
		{"gauge", "a:3.25|g", `a 3.25`, ""},
		{"gauge changes by sign", "a:10|g\na:+5|g\na:-3|g", `a 12`, ""},
		{"gauge below zero needs a zero first", "a:0|g\na:-7|g", `a -7`, ""},
		{"timer is in seconds", "a:250|ms", `a_seconds_sum 0.25; a_seconds_count 1`, ""},
		{"timer named after its unit", "latency_ms:250|ms", `latency_seconds_sum 0.25; latency_seconds_count 1`, ""},
		{"timer, sampled", "a:100|ms|@0.5", `a_seconds_sum 0.2; a_seconds_count 2`, ""},
		{"timer, sampled at a rate that stands for a million", "a:1|ms|@0.000001", `a_seconds_sum 1000; a_seconds_count 1000000`, ""},
		{"histogram", "a:5|h", `a_sum 5; a_count 1`, ""},
		{"distribution", "a:5|d", `a_sum 5; a_count 1`, ""},
		{"set", "a:x|s\na:y|s\na:x|s", `a 2`, ""},
		{"set members may hold a colon", "a:x:1|s\na:x:2|s", `a 2`, ""},
		{"set, sampled", "a:x|s|@0.5", `a 1`, ""},
		{"CRLF and empty lines", "a:1|c\r\n\r\n\na:1|c", `a_total 2`, ""},
		{"snake case", "Shop.checkoutTime.HTTPErrors:1|c", `shop_checkout_time_http_errors_total 1`, ""},
		{"odd characters and leading digits", "2fast-4 you/now:1|c", `_2fast_4_you_now_total 1`, ""},
		{"a name that has its suffix", "foo.total:1|c", `foo_total 1`, ""},
		{"a gauge named like a part", "users.count:1|g", `users_count_current 1`, ""},

		{"v1.0 tags", "a:1|c|#env:prod,version:1.2", `a_total{env="prod",version="1.2"} 1`, ""},
		{"v1.0 tag order does not matter", "a:1|c|#x:1,y:2\na:1|c|#y:2,x:1", `a_total{x="1",y="2"} 2`, ""},
		{"v1.0 tag without a value", "a:1|c|#canary", `a_total{canary="true"} 1`, ""},
		{"v1.0 tag value with colons", "a:1|c|#url:http://x", `a_total{url="http://x"} 1`, ""},
		{"v1.0 rate and tags in any order", "a:1|c|#x:1|@0.5", `a_total{x="1"} 2`, ""},
		{"v1.0 tag name with a dot", "a:1|c|#x.y:1", `a_total{x_y="1"} 1`, ""},
		{"v1.1 packed counter", "a:1:2:3|c", `a_total 6`, ""},
		{"v1.1 packed gauge", "a:1:2:3|g", `a 3`, ""},
		{"v1.1 packed timer", "a:100:200|ms|@0.5", `a_seconds_sum 0.6000000000000001; a_seconds_count 4`, ""},
		{"v1.1 packed histogram and distribution", "a:1:2|h\nb:3:4|d", `a_sum 3; a_count 2; b_sum 7; b_count 2`, ""},
		{"v1.1 one bad of three packed", "a:1:x:3|c", `a_total 4`, "value=1"},
		{"v1.2 container id", "a:1|c|#x:1|c:83c0a99c0a54c0c187f461c7980e9b57f3f6a8b0", `a_total{x="1"} 1`, ""},
		{"v1.3 time stamps", "a:1|c|T1656581400\na:2|c|T1656581401", `a_total 3`, ""},
		{"v1.3 time stamp before others", "a:1|g|#x:1|T1656581400|c:abc", `a{x="1"} 1`, ""},
		{"v1.4 in-<inode>", "a:1|c|c:in-4026531836", `a_total 1`, ""},
		{"v1.5 external data", "a:1|c|#x:1|e:it-false,cn-nginx,pu-1-2", `a_total{x="1"} 1`, ""},
		{"v1.6 cardinality", "a:1|c|#x:1|card:low", `a_total{x="1"} 1`, ""},
		{"v1.1 packed, sampled", "a:1:2|c|@0.5", `a_total 6`, ""},
		{"v1.1 a set does not pack", "a:1:2:3|s\na:1:2:3|s", `a 1`, ""},
		{"v1.1 packed values may be empty", "a:1::2|c", `a_total 3`, "value=1"},
		{"v1.2 container id of an event", "_e{1,1}:t|x|c:83c0a99c|#k:v", `statsd_events_total{alert_type="info",k="v",priority="normal"} 1`, ""},
		{"v1.3 of a distribution too", "a:5|d|T1656581400", `a_sum 5; a_count 1`, ""},
		{"v1.3 time stamp that is none", "a:5|c|Tomorrow", `a_total 5`, ""},
		{"v1.4 container id", "a:1|c|c:ci-83c0a99c", `a_total 1`, ""},
		{"v1.5 external data of a check", "_sc|n|0|e:it-false,cn-x|#k:v", `statsd_service_check_status{check="n",k="v"} 0`, ""},
		{"v1.6 cardinality of an event and of a check", "_e{1,1}:t|x|card:none\n_sc|n|3|card:high", `statsd_events_total{alert_type="info",priority="normal"} 1; statsd_service_check_status{check="n"} 3`, ""},
		{"everything in one line, in any order", "a:1:2|d|card:low|@0.5|e:it-true|#x:1,y|c:in-42|T1656581400", `a_sum{x="1",y="true"} 6; a_count{x="1",y="true"} 4`, ""},
		{"a field that is not invented yet", "a:1|c|zz:9|#x:1", `a_total{x="1"} 1`, ""},

		{"event", "_e{5,4}:title|text|#env:prod", `statsd_events_total{alert_type="info",env="prod",priority="normal"} 1`, ""},
		{"event, all fields", `_e{2,4}:é|a\nb|d:1|h:host|p:low|t:error|s:app|k:agg`, `statsd_events_total{alert_type="error",priority="low",source_type="app"} 1`, ""},
		{"event whose text holds bars", "_e{1,3}:t|a|b|t:success", `statsd_events_total{alert_type="success",priority="normal"} 1`, ""},
		{"event with wrong lengths", "_e{50,4}:title|text", ``, "event=1"},
		{"service check", "_sc|redis.up|2|d:1|h:web1|#env:prod|m:no |#route:x", `statsd_service_check_status{check="redis.up",env="prod",hostname="web1"} 2`, ""},
		{"service check with a bad status", "_sc|redis|7", ``, "service_check=1"},

		{"InfluxDB tags", "a,x=1,y=b:1|c", `a_total{x="1",y="b"} 1`, ""},
		{"Librato tags", "a#x=1,y=b:1|c", `a_total{x="1",y="b"} 1`, ""},
		{"SignalFx tags", "a.[x=1,y=b]b:1|c", `a_b_total{x="1",y="b"} 1`, ""},
		{"tags in the name and after it", "a,x=1:1|c|#y:2", `a_total{x="1",y="2"} 1`, ""},

		{"no colon", "abc", ``, "format=1"},
		{"no name", ":1|c", ``, "format=1"},
		{"only dots", "..:1|c", ``, "format=1"},
		{"no value", "a:|c", ``, "format=1"},
		{"no type", "a:1", ``, "format=1"},
		{"empty type", "a:1|", ``, "type=1"},
		{"unknown type", "a:1|q", ``, "type=1"},
		{"no number", "a:x|c", ``, "value=1"},
		{"hexadecimal", "a:0x10|g", ``, "value=1"},
		{"not finite", "a:+Inf|c\na:NaN|g\na:-inf|ms", ``, "not_finite=3"},
		{"too large for a float", "a:1e999|c", ``, "value=1"},
		{"negative counter", "a:-1|c", `a_total 0`, "negative_counter=1"},
		{"rate of zero", "a:1|c|@0", ``, "sample_rate=1"},
		{"rate above one", "a:1|c|@2", ``, "sample_rate=1"},
		{"rate that is no number", "a:1|c|@x", ``, "sample_rate=1"},
		{"a weight of a million costs one step", "a:1|h|@0.000001", `a_sum 1000000; a_count 1000000`, ""},
		{"a weight of 1e300", "a:1|h|@1e-300", `a_sum 0; a_count 0`, "sample_rate=1"},
		{"invalid UTF-8", "a\xff:1|c|#k:\xfe", "a__total{k=\"\uFFFD\"} 1", ""},
		{"one name, two types", "a:1|c\na:1|g", `a_total 1`, "refused=1"},
		{"histogram stat, then counter stat_count, whose OpenMetrics family is stat_count", "stat:1|h\nstat_count:1|c", `stat_sum 1; stat_count 1`, "refused=1"},
		{"timer stat, then counter stat_count", "stat:1|ms\nstat_count:1|c", `stat_count_total 1; stat_seconds_sum 0.001; stat_seconds_count 1`, ""},
		{"the helper's own names", "adapter.source.up:1|g", ``, "refused=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, s := statsd(series.Limits{}, nil)
			d.Decode([]byte(c.in))
			if got := samples(t, s); got != c.want {
				t.Errorf("%q\n got %s\nwant %s", c.in, got, c.want)
			}
			if p := problems(t, s); p != c.problems {
				t.Errorf("%q: refused %q, want %q", c.in, p, c.problems)
			}
		})
	}
}

func TestStatsD_ALabelExplosionIsBoundedCountedAndNamed(t *testing.T) {
	d, s := statsd(series.Limits{PerSource: 100}, nil)
	for i := range 10_000 {
		d.Decode(fmt.Appendf(nil, "hits:1|c|#user:u%d\nlevel.u%d:1|g\n", i, i))
	}
	if s.Len() > 101 {
		t.Errorf("%d series are kept, want at most 100 and one other", s.Len())
	}
	if got := samples(t, s); !strings.Contains(got, `hits_total{other="true"} 9950`) {
		t.Errorf("the other series is not the sum of the rest: %.300s", got)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(s)
	want := "# HELP adapter_series_limited_total Samples that met a limit, by source and the key of the limit; they were folded into the other series, cut or refused.\n" +
		"# TYPE adapter_series_limited_total counter\nadapter_series_limited_total{reason=\"per_source\",source=\"statsd\"} 19900\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "adapter_series_limited_total"); err != nil {
		t.Error(err)
	}
}

func TestStatsD_ASeriesThatExpiredComesBackWithItsNextLine(t *testing.T) {
	d, s := statsd(series.Limits{}, nil)
	d.Decode([]byte("a:1|g"))
	s.Source("statsd").Clear()
	d.Decode([]byte("a:2|g"))
	if got := samples(t, s); got != "a 2" {
		t.Errorf("got %q", got)
	}
}

func TestStatsD_SixtyFourKiBPacketsAreDecodedWhole(t *testing.T) {
	d, s := statsd(series.Limits{}, nil)
	d.Decode(bytes.Repeat([]byte("a.b:1|c|#x:y\n"), 5041))
	d.Decode(append(bytes.Repeat([]byte("long"), 16000), ":1|c\na.b:1|c|#x:y"...))
	if got := samples(t, s); got != `a_b_total{x="y"} 5042` {
		t.Errorf("got %.200s", got)
	}
	if p := problems(t, s); p != "refused=1" {
		t.Errorf("refused %s", p)
	}
}

// upper is a mapper as the rules are one.
type upper struct{ calls int }

func (u *upper) Map(s *sample.Sample) (Mapping, bool) {
	u.calls++
	switch string(s.Path[0]) {
	case "shop":
		return Mapping{Scale: 2, Labels: []sample.Label{{Name: "service", Value: s.Path[1]}},
			Desc: series.Desc{Name: "shop_requests", Type: series.Counter}}, true
	case "debug":
		return Mapping{Drop: true}, true
	}
	return Mapping{}, false
}

func TestStatsD_AsksTheRulesOnceForEachName(t *testing.T) {
	u := &upper{}
	d, s := statsd(series.Limits{}, u)
	for range 5 {
		d.Decode([]byte("shop.cart:1|c\ndebug.x:1|c\nother:1|c"))
	}
	if got := samples(t, s); got != `other_total 5; shop_requests_total{service="cart"} 10` || u.calls != 3 {
		t.Errorf("got %s after %d calls", got, u.calls)
	}
	if n := s.Source("statsd").Unmatched.Load(); n != 1 {
		t.Errorf("%d unmatched, want 1", n)
	}
}

func TestGraphite_LineByLine(t *testing.T) {
	s := series.New(series.Options{})
	d := NewGraphite(s, s.Source("graphite"), nil)
	d.Decode([]byte("servers.web1.load 0.5 1700000000\nservers.web1.load -0.25 1700000001\r\n\ndisk;host=a;mount=/ 12 -1\nnoend 7\nbad\nx nan 1\ny 1x 1\n"))
	if got := samples(t, s); got != `disk{host="a",mount="/"} 12; noend 7; servers_web1_load -0.25` {
		t.Errorf("got %s", got)
	}
	if p := problems(t, s); p != "format=1 not_finite=1 value=1" {
		t.Errorf("refused %s", p)
	}
}

// TestStatsD_AKnownLineAllocatesNothing guards the hot path.
func TestStatsD_AKnownLineAllocatesNothing(t *testing.T) {
	d, _ := statsd(series.Limits{}, nil)
	packet := []byte("a:1|c\nb.c:2.5|g|#x:y\nd:12|ms|@0.1|#x:y\ne:1:2:3|h\nf:member|s\ng:1|c|#x:y|T1656581400|e:it-false\nh:+1|g|card:low\n")
	d.Decode(packet)
	if n := testing.AllocsPerRun(100, func() { d.Decode(packet) }); n != 0 {
		t.Errorf("%v allocations for 7 known lines, want 0", n)
	}
}

func FuzzStatsD(f *testing.F) {
	f.Add([]byte("a:1|c\nb:2|g|#x:y,z\n_e{1,1}:a|b|t:error\n_sc|n|0|m:x\nc,t=v:1:2|ms|@0.1\nd[a=b]:x|s"))
	f.Add([]byte("a#=:1|h\n__x:1|g|#le:1,__name__:2,quantile:3\na:1|h|#le:5\na_bucket:1|g\na.b:1|c\na_b_total:1|g"))
	f.Fuzz(func(t *testing.T, p []byte) {
		d, s := statsd(series.Limits{Series: 50, PerSource: 50, SetMembers: 10}, nil)
		d.Decode(p)
		d.Decode(p)
		parses(t, s)
	})
}

func FuzzGraphite(f *testing.F) {
	f.Add([]byte("a.b 1 2\na;x=y;z=\"q\" -3e5 4"))
	f.Fuzz(func(t *testing.T, p []byte) {
		s := series.New(series.Options{Limits: series.Limits{Series: 50, PerSource: 50}})
		NewGraphite(s, s.Source("g"), nil).Decode(p)
		parses(t, s)
	})
}

// parses fails the test when a page of the store cannot be read.
func parses(t *testing.T, s *series.Store) {
	t.Helper()
	var page bytes.Buffer
	if err := expose.New(s, nil, nil).Write(&page, expfmt.FmtText); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(bytes.NewReader(page.Bytes())); err != nil {
		t.Fatalf("parse page: %v\n%s", err, page.String())
	}
}

func BenchmarkStatsD(b *testing.B) {
	for _, kind := range []string{"1|c", "1.5|g", "320|ms", "1|c|#instance:i%d,label1:value1,label2:value2"} {
		for _, n := range []int{100, 10_000, 100_000} {
			b.Run(fmt.Sprintf("%.5s/%d", strings.ReplaceAll(kind, "|", "_"), n), func(b *testing.B) {
				d, _ := statsd(series.Limits{Series: 1e6, PerSource: 1e6}, nil)
				var packets [][]byte
				for i := 0; i < n; i += 25 {
					var p []byte
					for j := range 25 {
						p = append(p, fmt.Sprintf("bench.web.requests.item%06d:", i+j)...)
						p = append(p, strings.ReplaceAll(kind, "%d", fmt.Sprint(i+j))...)
						p = append(p, '\n')
					}
					packets = append(packets, p)
					d.Decode(p)
				}
				b.ReportAllocs()
				b.ResetTimer()
				for i := 0; i < b.N; i += 25 {
					d.Decode(packets[i/25%len(packets)])
				}
			})
		}
	}
}
