package show

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pod-helpers/pod-helpers/examples/demo/app"
	"github.com/pod-helpers/pod-helpers/examples/demo/sink"
	"github.com/pod-helpers/pod-helpers/examples/demo/upstream"
)

// facts are what the three parties say at one moment: the app, what it talks to, and the ambassador.
type facts struct {
	app     app.Stats
	sink    sink.Counts
	backend upstream.Counts
	counted float64 // retries that the ambassador has counted itself
}

func (f facts) calls() (calls, errors int64) {
	for _, route := range f.app.Backend {
		calls += route.Calls
		errors += route.Errors
	}
	return calls, errors
}

// retries are the requests that the backend got beyond the app's calls. The ambassador does not count as a retry that a
// request goes out again because a kept connection had died under it, so its own number is smaller.
func (f facts) retries() int64 {
	calls, _ := f.calls()
	return max(0, f.backend.Requests-calls)
}

func (f facts) backendFailures() int64 { return f.backend.Refused + f.backend.Reset }

func (p *pod) ask() (facts, error) {
	var f facts
	err := errors.Join(
		get(p.sink+"/counts", &f.sink), // before the app: nothing is received that is not written yet
		get(p.app+"/stats", &f.app),
		get(p.backend+"/counts", &f.backend))
	if err != nil {
		return f, err
	}
	families, err := scrape(p.admin["ambassador"] + "/metrics")
	if err != nil {
		return f, err
	}
	for _, m := range families["ambassador_retries_total"].GetMetric() {
		f.counted += m.GetCounter().GetValue()
	}
	return f, nil
}

func get(url string, into any) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

func post(url string) error {
	response, err := http.Post(url, "", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("post %s: %s", url, response.Status)
	}
	return nil
}

// scrape reads a metrics page with Prometheus' own parser.
func scrape(url string) (map[string]*dto.MetricFamily, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("scrape %s: %s", url, response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", url, err)
	}
	return families, nil
}

// value finds the series whose labels include these (pairs of name and value).
func value(families map[string]*dto.MetricFamily, name string, labels ...string) (float64, bool) {
	for _, m := range families[name].GetMetric() {
		found := 0
		for _, l := range m.GetLabel() {
			for i := 0; i < len(labels); i += 2 {
				if l.GetName() == labels[i] && l.GetValue() == labels[i+1] {
					found++
				}
			}
		}
		if found*2 != len(labels) {
			continue
		}
		switch {
		case m.Counter != nil:
			return m.GetCounter().GetValue(), true
		case m.Gauge != nil:
			return m.GetGauge().GetValue(), true
		default:
			return m.GetUntyped().GetValue(), true
		}
	}
	return 0, false
}

// linesWritten is the number in the app's very last line, which it wrote when it was told to stop.
func (p *pod) linesWritten() (int64, error) {
	text, err := os.ReadFile(filepath.Join(p.volumes["logs"], "app.log"))
	if err != nil {
		return 0, err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	var last struct{ Seq int64 }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		return 0, fmt.Errorf("read the last line of app.log: %w", err)
	}
	return last.Seq, nil
}
