package decode

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// metrics notes each sample of an exposition in full.
type metrics struct{ walked }

func (m *metrics) Leaf(s *sample.Sample) {
	labels := ""
	for _, l := range s.Labels {
		labels += fmt.Sprintf("{%s=%s}", l.Name, l.Value)
	}
	value := string(s.Text)
	if s.Kind == sample.Histogram || s.Kind == sample.Summary {
		value = "nothing"
		if s.Dist != nil {
			value = fmt.Sprintf("%d/%g%v", s.Dist.Count, s.Dist.Sum, s.Dist.Points)
		}
	}
	m.out = append(m.out, fmt.Sprintf("%s %s%s=%s", s.Kind, strings.Join(m.path, "|"), labels, value))
}

func TestPrometheus_YieldsMetricsWithTypesAndWholeDistributions(t *testing.T) {
	for _, c := range []struct{ name, doc, want string }{
		{"no metadata", "a 1\n", "untyped a=1"},
		{"a counter's family has no _total in OpenMetrics", "# TYPE a counter\na_total 5\na_created 1.5e9\n# EOF\n", "total a_total=5"},
		{"and has it in text", "# TYPE a_total counter\na_total{x=\"1\"} 5 1700000000000\n", "total a_total{x=1}=5"},
		{"a gauge", "# TYPE a gauge\na -1.5\n", "gauge a=-1.5"},
		{"not finite", "# TYPE a gauge\na{n=\"1\"} NaN\na{n=\"2\"} +Inf\na{n=\"3\"} -Inf\n", "gauge a{n=1}=NaN; gauge a{n=2}=+Inf; gauge a{n=3}=-Inf"},
		{"leading zeros", "a 007\nb 0000.5\n", "untyped a=007; untyped b=0000.5"},
		{"an exemplar is not a part of the value", "# TYPE a counter\na_total 5 1.5 # {trace_id=\"x # y\"} 1 2\n# EOF\n", "total a_total=5"},
		{"an info", "# TYPE a info\na_info{version=\"1\"} 1\n# EOF\n", "info a_info{version=1}=1"},
		{"a state set", "# TYPE a stateset\na{a=\"on\"} 1\na{a=\"off\"} 0\n# EOF\n", "state a{a=on}=1; state a{a=off}=0"},
		{"a gauge histogram passes line by line", "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 2\na_gcount 2\na_gsum 3\n# EOF\n", "untyped a_bucket{le=+Inf}=2; untyped a_gcount=2; untyped a_gsum=3"},
		{"escapes", `a{x="q\"b\\n\n\t"} 1`, "untyped a{x=q\"b\\n\n\\t}=1"},
		{"braces, commas and hashes in values", `a{x="{},= # ",y=""} 1`, "untyped a{x={},= # }{y=}=1"},
		{"a comma at the end, spaces between", "a { x = \"1\" , } 2\n", "untyped a{x=1}=2"},
		{"quoted names", "# TYPE \"a.b\" gauge\n{\"a.b\",\"x y\"=\"1\"} 2\n", "gauge a.b{x y=1}=2"},
		{"comments that are none of ours", "# just a comment\n#TYPE a counter\na 1\n", "untyped a=1"},
		{"the help may come last", "# TYPE a gauge\n# HELP a Text.\na 1\n", "gauge a=1"},
		{"a name that only begins like its family", "# TYPE a counter\nab 1\na_total 2\n", "untyped ab=1; untyped a_total=2"},

		{"a histogram", "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n", "histogram h=3/4.5[{1 2}]"},
		{"one for each set of labels", "# TYPE h histogram\nh_bucket{p=\"a\",le=\"+Inf\"} 3\nh_count{p=\"a\"} 3\nh_bucket{le=\"+Inf\",p=\"b\"} 4\nh_count{p=\"b\"} 4\n", "histogram h{p=a}=3/0[]; histogram h{p=b}=4/0[]"},
		{"lines of several in any order", "# TYPE h histogram\nh_sum{p=\"a\"} 1\nh_sum{p=\"b\"} 2\nh_bucket{p=\"b\",le=\"+Inf\"} 4\nh_bucket{p=\"a\",le=\"+Inf\"} 3\nh_bucket{p=\"a\",le=\"0.5\"} 1\n", "histogram h{p=a}=3/1[{0.5 1}]; histogram h{p=b}=4/2[]"},
		{"without +Inf the count is the count", "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_count 3\n", "histogram h=3/0[{1 2}]"},
		{"without either there is no histogram", "# TYPE h histogram\nh_bucket{le=\"1\"} 2\n", "histogram h=nothing"},
		{"a bound that is none", "# TYPE h histogram\nh_bucket{le=\"x\"} 2\nh_count 2\n", "histogram h=nothing"},
		{"a count that is no whole number", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2.5\n", "histogram h=nothing"},
		{"then the next family", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\n# TYPE g gauge\ng 2\n", "histogram h=1/0[]; gauge g=2"},
		{"a sample of another family ends it too", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nother 2\n", "histogram h=1/0[]; untyped other=2"},
		{"a summary", "# TYPE s summary\ns{quantile=\"0.9\"} 7\ns{quantile=\"0.5\"} 3\ns_sum 10\ns_count 2\n", "summary s=2/10[{0.5 3} {0.9 7}]"},
		{"a summary without quantiles", "# TYPE s summary\ns_sum 10\ns_count 2\n", "summary s=2/10[]"},
		{"_created is no sample", "# TYPE s summary\ns_count 2\ns_created 1.5\n# EOF\n", "summary s=2/0[]"},
	} {
		m := &metrics{}
		if err := Prometheus([]byte(c.doc), m); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := strings.Join(m.out, "; "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// Half a page is never served: a document with one line that is none is refused whole.
func TestPrometheus_RefusesADocumentWithALineThatIsNone(t *testing.T) {
	for _, doc := range []string{
		"a 1\nb\n", "a 1\nb x\n", "a 1\nb{x=\"1\" 2\n", "a 1\nb{x=1} 2\n", "a 1\nb{x} 2\n", "a 1\nb{\"x\"} 2\n", "a 1\nb{=\"1\"} 2\n", "a 1\nb{x=\"1\"}\n",
		"a 1\nb 0x1p3\n", "a 1\nb 1_000\n", "a 1\n{} 1\n", "a 1\n# EOF\nb 1\n", "<html>\n", "", "\n\n", "{\"a\":1}",
	} {
		if err := Prometheus([]byte(doc), &metrics{}); err == nil {
			t.Errorf("%q is taken", doc)
		}
	}
}

func TestPrometheus_BoundsWhatItSorts(t *testing.T) {
	var doc, labels strings.Builder
	doc.WriteString("# TYPE h histogram\n")
	for i := 20_000; i > 0; i-- {
		fmt.Fprintf(&doc, "h_bucket{le=\"%d\"} 1\n", i)
		fmt.Fprintf(&labels, "l%d=\"\",", i)
	}
	doc.WriteString("h_count 1\n")
	m := &metrics{}
	if err := Prometheus([]byte(doc.String()), m); err != nil || strings.Join(m.out, "") != "histogram h=nothing" {
		t.Errorf("%v %.100s", err, m.out)
	}
	if err := Prometheus([]byte("# TYPE h histogram\nh_count{"+labels.String()+"} 1\n"), &metrics{}); err == nil {
		t.Error("20 000 labels are taken")
	}
}
