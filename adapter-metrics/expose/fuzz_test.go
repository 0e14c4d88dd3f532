package expose_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose/judge"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
)

// FuzzPage puts arbitrary names, types, labels and values into a store and reads each page: what
// data can do, no page may suffer from.
func FuzzPage(f *testing.F) {
	f.Add("a.b", "a_b", "le", "x.y", []byte("v\xff\"\n\\"), uint8(1), uint8(3), 1.5)
	f.Add("stat", "stat_count", "quantile", "__name__", []byte("}"), uint8(3), uint8(2), -1.0)
	f.Add("größe", "__x", "", "a b", []byte{}, uint8(5), uint8(6), 1e300)
	f.Fuzz(func(t *testing.T, name1, name2, label1, label2 string, value []byte, type1, type2 uint8, v float64) {
		s := series.New(series.Options{Limits: series.Limits{Series: 6, PerSource: 4}})
		src := s.Source("fuzz")
		for i, d := range []series.Desc{
			{Name: name1, Type: series.Type(type1 % 7), Help: string(value), Unit: label1},
			{Name: name2, Type: series.Type(type2 % 7), Help: label2},
			{Name: name1 + "_count", Type: series.Gauge},
		} {
			fam, err := s.Family(d)
			if err != nil {
				continue
			}
			for n := range 3 {
				labels := []sample.Label{{Name: label1, Value: value}, {Name: label2, Value: fmt.Append(nil, n)}}
				if x, err := fam.Series(src, labels[:(i+n)%3]...); err == nil {
					x.Add(v)
					x.Set(v)
					x.Observe(v, 1)
					x.SetDistribution(&series.Distribution{Count: uint64(type1), Sum: v, Points: []series.Point{{At: v, Value: float64(type2)}}})
				}
			}
		}
		for _, scheme := range []model.EscapingScheme{model.UnderscoreEscaping, model.NoEscaping, model.DotsEscaping, model.ValueEncodingEscaping} {
			p := expfmt.NewTextParser(model.UTF8Validation)
			page := render(t, s, expfmt.FmtText.WithEscapingScheme(scheme))
			if _, err := p.TextToMetricFamilies(bytes.NewReader([]byte(page))); err != nil {
				t.Fatalf("%s: %v\n%s", scheme, err, page)
			}
			if scheme != model.NoEscaping {
				for _, created := range []bool{false, true} {
					h := expose.New(s, nil, nil)
					h.Created = created
					page := string(pageOf(t, h, expfmt.FmtOpenMetrics_1_0_0.WithEscapingScheme(scheme)))
					if err := judge.OpenMetrics(page); err != nil {
						t.Fatalf("%s: %v\n%s", scheme, err, page)
					}
				}
			}
			r := bytes.NewReader([]byte(render(t, s, expfmt.FmtProtoDelim.WithEscapingScheme(scheme))))
			for {
				var m dto.MetricFamily
				if err := protodelim.UnmarshalFrom(r, &m); err == io.EOF {
					break
				} else if err != nil {
					t.Fatalf("%s: protobuf: %v", scheme, err)
				}
			}
		}
	})
}
