package expose_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func render(t testing.TB, s *series.Store, f expfmt.Format) string {
	t.Helper()
	var b bytes.Buffer
	if err := expose.New(s, nil, nil).Write(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrite_EachTypeInEachFormat(t *testing.T) {
	s := zoo(t)
	kittest.Golden(t, "zoo.prom", render(t, s, expfmt.FmtText))
	kittest.Golden(t, "zoo.om", render(t, s, expfmt.FmtOpenMetrics_1_0_0))
}

func TestWrite_NamesInEachEscapingScheme(t *testing.T) {
	s := utf8Zoo(t)
	for _, scheme := range []model.EscapingScheme{model.NoEscaping, model.UnderscoreEscaping, model.DotsEscaping, model.ValueEncodingEscaping} {
		for name, f := range map[string]expfmt.Format{"prom": expfmt.FmtText, "om": expfmt.FmtOpenMetrics_1_0_0} {
			kittest.Golden(t, fmt.Sprintf("utf8-%s.%s", scheme, name), render(t, s, f.WithEscapingScheme(scheme)))
		}
	}
}

// parseText reads a page with the reference parser.
func parseText(t testing.TB, page string) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	fams, err := p.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatalf("parse page: %v\n%s", err, page)
	}
	return fams
}

func parseProto(t testing.TB, page string) map[string]*dto.MetricFamily {
	t.Helper()
	fams := map[string]*dto.MetricFamily{}
	r := strings.NewReader(page)
	for {
		var m dto.MetricFamily
		err := protodelim.UnmarshalOptions{MaxSize: -1}.UnmarshalFrom(r, &m)
		if err == io.EOF {
			return fams
		}
		if err != nil {
			t.Fatalf("parse protobuf page: %v", err)
		}
		if fams[m.GetName()] != nil {
			t.Fatalf("family %s is there twice", m.GetName())
		}
		fams[m.GetName()] = &m
	}
}

// flat lists a family's samples as text 0.0.4 would, so that formats can be compared.
func flat(fams map[string]*dto.MetricFamily) string {
	var b strings.Builder
	for _, name := range sortedKeys(fams) {
		f := fams[name]
		for _, m := range f.Metric {
			m.TimestampMs = nil
			if h := m.Histogram; h != nil {
				h.Schema, h.ZeroThreshold, h.ZeroCount = nil, nil, nil
				h.PositiveSpan, h.PositiveDelta, h.NegativeSpan, h.NegativeDelta = nil, nil, nil, nil
				if n := len(h.Bucket); n > 0 && math.IsInf(h.Bucket[n-1].GetUpperBound(), 1) {
					h.Bucket = h.Bucket[:n-1]
				}
			}
		}
		f.Unit = nil
		expfmt.MetricFamilyToText(&b, f)
	}
	return b.String()
}

func sortedKeys(m map[string]*dto.MetricFamily) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	for i := range keys {
		for j := i; j > 0 && keys[j] < keys[j-1]; j-- {
			keys[j], keys[j-1] = keys[j-1], keys[j]
		}
	}
	return keys
}

func TestWrite_ProtobufSaysTheSameAsText(t *testing.T) {
	for _, s := range []*series.Store{zoo(t), utf8Zoo(t)} {
		for _, scheme := range []model.EscapingScheme{model.NoEscaping, model.UnderscoreEscaping, model.DotsEscaping, model.ValueEncodingEscaping} {
			text := flat(parseText(t, render(t, s, expfmt.FmtText.WithEscapingScheme(scheme))))
			proto := flat(parseProto(t, render(t, s, expfmt.FmtProtoDelim.WithEscapingScheme(scheme))))
			if text != proto || text == "" {
				t.Errorf("%s: text:\n%s\nprotobuf:\n%s", scheme, text, proto)
			}
		}
	}
}

// TestWrite_NativeHistogramIsTheOneOfClientGolang compares bucket by bucket.
func TestWrite_NativeHistogramIsTheOneOfClientGolang(t *testing.T) {
	p := newPen(t, series.Limits{})
	ours := p.series(series.Desc{Name: "h", Type: series.Histogram})
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: prometheus.DefBuckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 1000})
	for i := range 2000 {
		v := math.Exp(float64(i%400)/40 - 5)
		if i%7 == 0 {
			v = -v
		}
		if i%50 == 0 {
			v = math.Ldexp(1, i%9-4) // exactly on bounds
		}
		if i%99 == 0 {
			v = 0
		}
		ours.Observe(v, 1)
		theirs.Observe(v)
	}
	var want dto.Metric
	if err := theirs.Write(&want); err != nil {
		t.Fatal(err)
	}
	got := parseProto(t, render(t, p.store, expfmt.FmtProtoDelim))["h"].Metric[0].Histogram
	want.Histogram.CreatedTimestamp = nil
	if math.Abs(got.GetSampleSum()-want.Histogram.GetSampleSum()) < 1e-6 {
		got.SampleSum = want.Histogram.SampleSum // summed in another order
	}
	if got.String() != want.Histogram.String() {
		t.Errorf("got\n%v\nwant\n%v", got, want.Histogram)
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		p := newPen(b, series.Limits{Series: 1e6, PerSource: 1e6})
		for i := range n {
			p.series(series.Desc{Name: fmt.Sprintf("bench_web_requests%d", i%10), Type: series.Counter, Help: "Requests."},
				label("instance", fmt.Sprint("i", i)), label("method", "get"), label("code", "200")).Add(float64(i) * 1.0137)
		}
		h := expose.New(p.store, nil, nil)
		for name, format := range map[string]expfmt.Format{"text": expfmt.FmtText, "om": expfmt.FmtOpenMetrics_1_0_0, "proto": expfmt.FmtProtoDelim} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					h.Write(io.Discard, format)
				}
			})
		}
	}
}
