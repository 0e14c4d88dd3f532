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
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// strictPython reads OpenMetrics with the parser that knows all 211 vectors of the specification.
const strictPython = `
import sys
from prometheus_client.openmetrics import parser
n = 0
for f in parser.text_string_to_metric_families(sys.stdin.read()):
    n += len(f.samples)
print(n)
`

// withOwn is a page as the running helper serves it.
func withOwn(t *testing.T, s *series.Store) *expose.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(s, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return expose.New(s, reg, nil)
}

func pageOf(t *testing.T, h *expose.Handler, f expfmt.Format) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := h.Write(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReal_StrictOpenMetricsParserTakesThePage(t *testing.T) {
	kittest.NeedReal(t, "/usr/bin/python3")
	for _, s := range []*series.Store{zoo(t), utf8Zoo(t)} {
		for _, scheme := range []model.EscapingScheme{model.UnderscoreEscaping, model.DotsEscaping, model.ValueEncodingEscaping} {
			page := pageOf(t, withOwn(t, s), expfmt.FmtOpenMetrics_1_0_0.WithEscapingScheme(scheme))
			cmd := exec.Command("/usr/bin/python3", "-c", strictPython)
			cmd.Stdin = bytes.NewReader(page)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s\n%s", scheme, err, out, page)
			}
		}
	}
}

func TestReal_PromtoolFindsNothing(t *testing.T) {
	kittest.NeedReal(t, "promtool")
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = bytes.NewReader(pageOf(t, withOwn(t, zoo(t)), expfmt.FmtText))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
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
