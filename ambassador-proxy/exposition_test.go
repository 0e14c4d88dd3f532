package main

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

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

func TestConnections_OfEveryVersionAreIdleBetweenRequests(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		s := server(t, http.HandlerFunc(echo), false, h2)
		address, admin, _ := proxied(t, map[bool]string{false: "http", true: "h2c"}[h2]+strings.TrimPrefix(s.URL, "http"))
		for _, app := range []bool{false, true} {
			do(t, client(t, app), "GET", "http://"+address+"/", "")
		}
		kittest.Eventually(t, 5*time.Second, func() bool {
			_, metrics := kittest.Get("http://" + admin + "/metrics")
			return strings.Contains(metrics, `side="upstream",state="idle",upstream="127.0.0.1"} 1`) && strings.Contains(metrics, `side="upstream",state="active",upstream="127.0.0.1"} 0`)
		}, fmt.Sprint("one idle connection, h2 ", h2))
	}
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
