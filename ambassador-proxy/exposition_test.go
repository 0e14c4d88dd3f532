package main

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// exposed is what a scrape finds after one good and one failed request.
func exposed(t *testing.T) string {
	s := server(t, http.HandlerFunc(echo), false, false)
	address, admin, _ := proxied(t, s.URL)
	do(t, client(t, false), "GET", "http://"+address+"/", "")
	_, text := kittest.Get("http://" + admin + "/metrics")
	return text
}

func TestMetrics_HaveNothingForALinterToSay(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(exposed(t))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func readme(t *testing.T) string {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestREADME_TellsOfEveryMetric(t *testing.T) {
	text := readme(t)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (ambassador_\w+)`).FindAllStringSubmatch(exposed(t), -1) {
		if name := m[1]; !strings.Contains(text, "`"+name) && !strings.HasPrefix(name, "ambassador_config_") && name != "ambassador_build_info" {
			t.Errorf("%s is not in README.md", name)
		}
	}
}

func TestREADME_TellsOfEveryReason(t *testing.T) {
	text := readme(t)
	for r := reason.OK + 1; r < reason.Count; r++ {
		if !strings.Contains(text, "`"+r.String()+"`") {
			t.Errorf("%s is not in README.md", r)
		}
	}
}
