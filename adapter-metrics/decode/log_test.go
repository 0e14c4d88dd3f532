package decode

import (
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

const combined = `{client} - {} [{time}] "{method} {path} {}" {status} {bytes:int} "{}" "{}" {rt:s}`

const combinedLine = `203.0.113.9 - - [24/Nov/2026:22:10:11 +0000] "GET /cart/7?x=1 HTTP/1.1" 200 5316 "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101" 0.021` + "\n"

func combinedMetrics() []LogMetric {
	return []LogMetric{
		{Name: "http_requests_total", Labels: []string{"method", "status"}},
		{Name: "http_sent_bytes_total", Labels: []string{"method", "status"}, Add: "bytes"},
		{Name: "http_duration_seconds", Observe: "rt"},
	}
}

func newLog(t testing.TB, o LogOptions) (*Log, *series.Store) {
	t.Helper()
	store := series.New(series.Options{})
	d, err := NewLog(store, store.Source("log"), o)
	if err != nil {
		t.Fatal(err)
	}
	return d, store
}

func TestLog_MakesMetricsOfLinesInEachForm(t *testing.T) {
	metrics := combinedMetrics()
	want := `http_duration_seconds_sum 0.021; http_duration_seconds_count 1; http_requests_total{method="GET",status="200"} 1; http_sent_bytes_total{method="GET",status="200"} 5316`
	for name, c := range map[string]struct {
		o    LogOptions
		line string
	}{
		"pattern": {LogOptions{Pattern: combined}, combinedLine},
		"regex":   {LogOptions{Regex: `"(?P<method>\S+) \S+ [^"]*" (?P<status>\d+) (?P<bytes>\d+) .* (?P<rt>[0-9.]+)$`}, combinedLine},
		"json":    {LogOptions{Format: "json"}, `{"method":"GET","status":200,"bytes":5316,"rt":0.021,"extra":[1,{"method":"no"}]}`},
		"logfmt":  {LogOptions{Format: "logfmt"}, `ts=1 method="GET" status=200 flag bytes=5316 msg="a \"b\" c" rt=0.021`},
	} {
		c.o.Metrics = metrics
		d, store := newLog(t, c.o)
		d.Decode([]byte(c.line))
		if got := samples(t, store); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestLog_NestedJSONFieldsAreNamedWithDots(t *testing.T) {
	d, store := newLog(t, LogOptions{Format: "json", Metrics: []LogMetric{{Name: "n", Labels: []string{"request.method"}}}})
	d.Decode([]byte(`{"request":{"method":"PUT"}}`))
	if got := samples(t, store); got != `n_total{request_method="PUT"} 1` {
		t.Error(got)
	}
}

func TestLog_CountsLinesThatItCannotUseByReason(t *testing.T) {
	d, store := newLog(t, LogOptions{Pattern: "{status:int} {rt:ms}", Metrics: []LogMetric{{Name: "rt_seconds", Observe: "rt"}}})
	d.Decode([]byte("200 5\nnot a line\n200 x\n200 -\n\n"))
	if got := problems(t, store); got != "format=1 value=1" {
		t.Error(got)
	}
	if d.Lines() != 4 || store.Source("log").Samples.Load() != 3 {
		t.Error(d.Lines())
	}
}

func TestLog_RefusesOptionsThatMakeNoSense(t *testing.T) {
	one := []LogMetric{{Name: "n", Labels: []string{"a"}}}
	for want, o := range map[string]LogOptions{
		"no metrics":         {Pattern: "{a}"},
		"not exactly one":    {Pattern: "{a}", Regex: "(?P<a>.)", Metrics: one},
		"no field a":         {Pattern: "{b}", Metrics: one},
		"unknown type":       {Pattern: "{a:furlong}", Metrics: one},
		"{ without }":        {Pattern: "x {a", Metrics: one},
		"nothing stands":     {Pattern: "{a}{b}", Metrics: one},
		"twice":              {Pattern: "{a} {a}", Metrics: one},
		"missing closing ):": {Regex: "(", Metrics: one},
		"has no {field}":     {Pattern: "a {{b}", Metrics: one},
	} {
		if _, err := NewLog(nil, nil, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestLog_AllocatesNothingForAKnownLine(t *testing.T) {
	d, _ := newLog(t, LogOptions{Pattern: combined, Metrics: combinedMetrics()})
	line := []byte(combinedLine)
	d.Decode(line)
	if n := testing.AllocsPerRun(1000, func() { d.Decode(line) }); n != 0 {
		t.Errorf("%v allocations a line", n)
	}
}

// BenchmarkLog guards the path of a line of nginx's combined format with two counters and a histogram.
func BenchmarkLog(b *testing.B) {
	d, _ := newLog(b, LogOptions{Pattern: combined, Metrics: combinedMetrics()})
	block := []byte(strings.Repeat(combinedLine, 1000))
	b.SetBytes(int64(len(combinedLine)))
	b.ReportAllocs()
	for n := 0; n < b.N; n += 1000 {
		d.Decode(block)
	}
}

func FuzzLog(f *testing.F) {
	f.Add(combined, combinedLine)
	f.Add("{{ {a}x{b:int}", "{ 1x2")
	f.Fuzz(func(t *testing.T, pattern, lines string) {
		for _, o := range []LogOptions{{Pattern: pattern}, {Format: "json"}, {Format: "logfmt"}} {
			o.Metrics = []LogMetric{{Name: "n", Set: "a", Labels: []string{"b"}}}
			store := series.New(series.Options{Limits: series.Limits{Series: 100}})
			if d, err := NewLog(store, store.Source("s"), o); err == nil {
				d.Decode([]byte(lines)) // whatever the lines are, none may panic
			}
		}
	})
}
