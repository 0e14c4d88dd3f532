package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// The rules of conduct that no other test states: each of the bounds is in force, counted and named.

func TestLimits_BoundTheLabelsOfASeriesAndTheBytesOfADocument(t *testing.T) {
	var tags []string
	for i := range 40 {
		tags = append(tags, fmt.Sprintf("t%d:x", i))
	}
	port, shop := kittest.FreePort(t), newApp(t, `{"long":"`+strings.Repeat("x", 2000)+`","a":1}`)
	admin, _, _ := configured(t, "limits: {labels: 30}\nsources:\n- statsd: {listen: ['tcp://127.0.0.1:"+port+"']}\n"+
		"- {name: large, json: {url: "+shop.URL+", max_bytes: 1KiB}}\n"+
		"- {name: labelled, json: {url: "+shop.URL+"}, rules: [{match: a, name: labelled, labels: {long: .long}}]}\n")
	send(t, "tcp", "127.0.0.1:"+port, "hits:1|c|#"+strings.Join(tags, ",")+"\nfine:1|c\n")
	shows(t, admin, "fine_total 1")
	mustHave(t, scrape(t, admin), "!hits_total", `adapter_series_limited_total{reason="labels",source="statsd"} 1`, `adapter_parse_errors_total{reason="refused",source="statsd"} 1`,
		`adapter_source_errors_total{reason="too_large",source="large"}`, `adapter_series_limited_total{reason="label_bytes",source="labelled"}`, `labelled{long="`+strings.Repeat("x", 1024)+`"} 1`)
}

func TestTTL_RemovesAPushedSeriesThatGotNoSampleAndIdleOnlyGauges(t *testing.T) {
	port := kittest.FreePort(t)
	admin, _, _ := configured(t, "limits: {idle: 300ms}\nsources:\n- statsd: {listen: ['tcp://127.0.0.1:"+port+"']}\n  rules: [{match: job.*, name: job_total, ttl: 300ms}]\n")
	send(t, "tcp", "127.0.0.1:"+port, "job.a:1|c\nstays:1|c\ngoes:1|g\n")
	shows(t, admin, "job_total 1")
	kittest.Eventually(t, 10*time.Second, func() bool {
		page := scrape(t, admin)
		return !strings.Contains(page, "job_total") && !strings.Contains(page, "\ngoes ")
	}, "the counter with a ttl and the idle gauge to go")
	mustHave(t, scrape(t, admin), "stays_total 1")
}

func TestGraphite_OverTCPBecomesSeries(t *testing.T) {
	port := kittest.FreePort(t)
	admin, _ := adapter(t, "--source", "graphite://127.0.0.1:"+port)
	send(t, "tcp", "127.0.0.1:"+port, "servers.web1.load 0.5 1700000000\ndisk;host=a 12 -1\nodd\n")
	shows(t, admin, "servers_web1_load 0.5")
	mustHave(t, scrape(t, admin), `disk{host="a"} 12`, `adapter_parse_errors_total{reason="format",source="graphite"} 1`, `adapter_statsd_lines_total{source="graphite"} 3`)
}

func TestNames_AreUTF8ForThoseWhoReadThem(t *testing.T) {
	app := newApp(t, "# TYPE \"http.duration\" gauge\n{\"http.duration\",\"url.path\"=\"/\"} 2\n")
	admin, _ := adapter(t, "--source", "prometheus+"+app.URL)
	for accept, want := range map[string]string{
		"text/plain;version=1.0.0;escaping=allow-utf-8": "{\"http.duration\",\"url.path\"=\"/\"} 2\n",
		"text/plain;version=1.0.0;escaping=underscores": "http_duration{url_path=\"/\"} 2\n",
		"text/plain;version=1.0.0;escaping=dots":        "http_dot_duration{url_dot_path=\"/\"} 2\n",
	} {
		if page := fetch(t, admin, accept); !strings.Contains(page, "\n"+want) {
			t.Errorf("%s: no %s\n%s", accept, want, page)
		}
	}
}
