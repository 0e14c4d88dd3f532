package expose_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// dated renders with start timestamps.
func dated(t testing.TB, s *series.Store, f expfmt.Format) string {
	t.Helper()
	h := expose.New(s, nil, nil)
	h.Created = true
	return string(pageOf(t, h, f))
}

func TestWrite_TellsSinceWhenWhatIsCountedHereCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock begins with the year 2000
		p := newPen(t, series.Limits{})
		p.series(series.Desc{Name: "hits", Type: series.Counter}, label("a", "b")).Add(1)
		p.series(series.Desc{Name: "took", Type: series.Histogram, Buckets: series.NewBuckets([]float64{1})}).Observe(1, 1)
		p.series(series.Desc{Name: "size", Type: series.Summary}).Observe(1, 1)
		p.series(series.Desc{Name: "level", Type: series.Gauge}).Set(1)
		p.series(series.Desc{Name: "total", Type: series.Counter}).Set(7) // the app's own count
		p.series(series.Desc{Name: "ready", Type: series.Histogram}).SetDistribution(&series.Distribution{Count: 1})
		round := p.store.Source("pull").Begin()
		f, _ := p.store.Family(series.Desc{Name: "pulled", Type: series.Counter})
		x, _ := round.Series(f)
		x.Set(1)
		round.Commit()

		om := dated(t, p.store, expfmt.FmtOpenMetrics_1_0_0)
		for _, want := range []string{"hits_total{a=\"b\"} 1\nhits_created{a=\"b\"} 946684800\n", "took_created 946684800\n", "size_created 946684800\n"} {
			if !strings.Contains(om, want) {
				t.Errorf("no %q in\n%s", want, om)
			}
		}
		if n := strings.Count(om, "_created"); n != 3 {
			t.Errorf("%d series tell since when they count, want 3\n%s", n, om)
		}
		if text := dated(t, p.store, expfmt.FmtText); strings.Contains(text, "_created") {
			t.Errorf("text 0.0.4 knows no _created\n%s", text)
		}
		fams := parseProto(t, dated(t, p.store, expfmt.FmtProtoDelim))
		for name, at := range map[string]int64{
			"hits_total": fams["hits_total"].Metric[0].Counter.GetCreatedTimestamp().GetSeconds(),
			"took":       fams["took"].Metric[0].Histogram.GetCreatedTimestamp().GetSeconds(),
			"size":       fams["size"].Metric[0].Summary.GetCreatedTimestamp().GetSeconds(),
		} {
			if at != 946684800 {
				t.Errorf("protobuf: %s counts since %d", name, at)
			}
		}
		for _, silent := range []string{"total_total", "pulled_total"} {
			if fams[silent].Metric[0].Counter.CreatedTimestamp != nil {
				t.Errorf("protobuf: %s tells what nobody knows", silent)
			}
		}
		if plain := render(t, p.store, expfmt.FmtOpenMetrics_1_0_0); strings.Contains(plain, "_created") {
			t.Errorf("not asked for\n%s", plain)
		}
	})
}

func TestWrite_EachTypeInOpenMetrics2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kittest.Golden(t, "zoo.om2", dated(t, zoo(t), expfmt.FmtOpenMetrics_2_0_0))
		kittest.Golden(t, "utf8-allow-utf-8.om2", dated(t, utf8Zoo(t), expfmt.FmtOpenMetrics_2_0_0.WithEscapingScheme(model.NoEscaping)))
	})
}

// TestWrite_OpenMetrics2IsTheOneOfTheReferenceEncoder gives the protobuf page to Prometheus' own encoder.
func TestWrite_OpenMetrics2IsTheOneOfTheReferenceEncoder(t *testing.T) {
	for _, s := range []*series.Store{zoo(t), utf8Zoo(t)} {
		var want bytes.Buffer
		fams := parseProto(t, dated(t, s, expfmt.FmtProtoDelim.WithEscapingScheme(model.NoEscaping)))
		delete(fams, "zoo_drift_seconds") // that no 2.0 page can hold
		for _, name := range sortedKeys(fams) {
			if _, err := expfmt.MetricFamilyToOpenMetrics20(&want, fams[name]); err != nil {
				t.Fatal(err)
			}
		}
		got := sampleLines(dated(t, s, expfmt.FmtOpenMetrics_2_0_0.WithEscapingScheme(model.NoEscaping)))
		if got, want := strings.Join(got, "\n"), strings.Join(sampleLines(want.String()), "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// sampleLines are the lines that are no comments, sorted. 1.0 and 1 are one number, and so is the zoo's large one.
func sampleLines(page string) []string {
	whole := regexp.MustCompile(`([ :,[]-?\d+)\.0\b`)
	var out []string
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") {
			line = strings.Replace(line, " 1000000000000000 ", " 1e+15 ", 1)
			out = append(out, whole.ReplaceAllString(strings.TrimSpace(line), "$1"))
		}
	}
	slices.Sort(out)
	return out
}

func TestHandler_OffersOpenMetrics2OnlyByFlag(t *testing.T) {
	const accept = "application/openmetrics-text;version=2.0.0;escaping=allow-utf-8,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5"
	h := expose.New(zoo(t), nil, nil)
	if got := get(h, "Accept", accept).Header().Get("Content-Type"); !strings.Contains(got, "version=1.0.0") {
		t.Errorf("without the flag: %s", got)
	}
	h.OpenMetrics2 = true
	w := get(h, "Accept", accept)
	if got := w.Header().Get("Content-Type"); !strings.Contains(got, "version=2.0.0") || !strings.Contains(w.Body.String(), "{count:") {
		t.Errorf("with the flag: %s\n%s", got, w.Body)
	}
	if got := get(h, "Accept", "application/openmetrics-text").Header().Get("Content-Type"); strings.Contains(got, "version=2.0.0") {
		t.Errorf("a scraper that names no version got %s", got)
	}
}
