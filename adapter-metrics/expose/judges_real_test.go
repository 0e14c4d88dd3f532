package expose_test

import (
	"bytes"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose/judge"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// withOwn is a page as the running helper serves it.
func withOwn(t *testing.T, s *series.Store) *expose.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(s, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return expose.New(s, reg, nil)
}

func pageOf(t testing.TB, h *expose.Handler, f expfmt.Format) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := h.Write(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReal_StrictOpenMetricsParserTakesThePage(t *testing.T) {
	for _, s := range []*series.Store{zoo(t), utf8Zoo(t)} {
		for _, scheme := range []model.EscapingScheme{model.UnderscoreEscaping, model.DotsEscaping, model.ValueEncodingEscaping} {
			for _, created := range []bool{false, true} {
				h := withOwn(t, s)
				h.Created = created
				judge.Python(t, string(pageOf(t, h, expfmt.FmtOpenMetrics_1_0_0.WithEscapingScheme(scheme))))
			}
		}
	}
}

// TestReal_TheFuzzersJudgeIsAsStrictAsPython holds our own judge against the parser that it stands for.
func TestReal_TheFuzzersJudgeIsAsStrictAsPython(t *testing.T) {
	for _, page := range []string{
		"", "# EOF", "# TYPE a gauge\na 1\n", "# TYPE a counter\na 1\n# EOF\n", "# TYPE a counter\na_total -1\n# EOF\n", "# TYPE a counter\na_total NaN\n# EOF\n",
		"# TYPE a gauge\n# TYPE a gauge\n# EOF\n", "# TYPE a counter\n# TYPE a_total gauge\n# EOF\n", "# TYPE a_count gauge\n# TYPE a summary\n# EOF\n",
		"# TYPE a gauge\na{x=\"1\",x=\"2\"} 1\n# EOF\n", "# TYPE a gauge\na{x=\"1\"} 1\na{x=\"1\"} 1\n# EOF\n", "# TYPE a info\na_info 2\n# EOF\n",
		"# TYPE a stateset\na 1\n# EOF\n", "# TYPE a stateset\na{a=\"x\"} 2\n# EOF\n", "# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n",
		"# TYPE a summary\na{quantile=\"0.5\"} -1\n# EOF\n", "# TYPE a summary\na{quantile=\"1.5\"} 1\n# EOF\n", "# TYPE a summary\na_sum -1\n# EOF\n",
		"# TYPE a histogram\na_bucket{le=\"1.0\"} 1\n# EOF\n", "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 2\na_sum 1\n# EOF\n",
		"# TYPE a histogram\na_bucket{le=\"1.0\"} 2\na_bucket{le=\"+Inf\"} 1\n# EOF\n", "# TYPE a histogram\na_bucket{le=\"2.0\"} 1\na_bucket{le=\"1.0\"} 1\na_bucket{le=\"+Inf\"} 1\n# EOF\n",
		"# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\n# EOF\n", "# TYPE a histogram\na_bucket{le=\"-1.0\"} 1\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum 1\n# EOF\n",
		"# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum -1\n# EOF\n", "# TYPE a gauge\na 1\nb 1\na{x=\"1\"} 1\n# EOF\n", "# TYPE a gauge\na{0=\"1\"} 1\n# EOF\n",
	} {
		if judge.OpenMetrics(page) == nil {
			t.Errorf("the fuzzers' judge takes %q", page)
		}
		kittest.NeedReal(t, "/usr/bin/python3")
		cmd := exec.Command("/usr/bin/python3", "-c", "import sys\nfrom prometheus_client.openmetrics import parser\nlist(parser.text_string_to_metric_families(sys.stdin.read()))")
		cmd.Stdin = strings.NewReader(page)
		if cmd.Run() == nil {
			t.Logf("Python takes %q", page)
		}
	}
}

func TestReal_PromtoolFindsNothing(t *testing.T) {
	if out := judge.Promtool(t, string(pageOf(t, withOwn(t, zoo(t)), expfmt.FmtText))); out != "" {
		t.Error(out)
	}
}

func TestWrite_PromlintFindsNothing(t *testing.T) {
	problems, err := promlint.New(bytes.NewReader(pageOf(t, withOwn(t, zoo(t)), expfmt.FmtText))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

// TestReal_PrometheusScrapesEveryType lets a real server scrape with native histograms,
// which it fetches as protobuf.
func TestReal_PrometheusScrapesEveryType(t *testing.T) {
	kittest.NeedReal(t, "prometheus")
	s := httptest.NewServer(withOwn(t, zoo(t)))
	defer s.Close()
	dir, address := t.TempDir(), kittest.FreeAddress(t)
	config := filepath.Join(dir, "prometheus.yml")
	yaml := "scrape_configs:\n- job_name: zoo\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs: [{targets: ['" + strings.TrimPrefix(s.URL, "http://") + "']}]\n"
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--enable-feature=native-histograms")
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for query, want := range map[string]string{
		"up": `"1"`, "zoo_users": `"2"`, "zoo_requests_total": `"0.1"`, "histogram_count(zoo_latency_seconds)": `"10"`,
		`zoo_ready_seconds_bucket{le="0.1"}`: `"2"`, `zoo_state{zoo_state="down"}`: `"1"`, "zoo_build_info": `"1.2"`,
	} {
		kittest.Eventually(t, 20*time.Second, func() bool {
			out, _ := exec.Command("promtool", "query", "instant", "--format=json", "http://"+address, query).Output()
			return bytes.Contains(out, []byte(want))
		}, query+" to be "+want)
	}
}
