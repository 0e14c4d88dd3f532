package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// value is the sum of a metric's series that carry all of the labels, as `name="value"`; false when there is none.
func value(metrics, name string, labels ...string) (sum float64, found bool) {
series:
	for line := range strings.Lines(metrics) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue series
			}
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' '):]), 64)
		if err == nil {
			sum, found = sum+v, true
		}
	}
	return sum, found
}

func TestMetrics_ShowRetriesEjectionsNamesQueuesAndDrain(t *testing.T) {
	var sick atomic.Bool
	hold := make(chan struct{})
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/hold":
			<-hold
		case sick.Load():
			w.WriteHeader(503)
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}), false, false)
	well, _ := counting(t)
	list := filepath.Join(t.TempDir(), "endpoints")
	write(t, list, strings.TrimPrefix(s.URL, "http://")+"\n"+strings.TrimPrefix(well, "http://")+"\n")
	address, narrow, egress, dark := kittest.FreeAddress(t), kittest.FreeAddress(t), kittest.FreeAddress(t), kittest.FreeAddress(t)
	a := kittest.NewAuthority(t)
	v := &secretVolume{dir: t.TempDir()}
	v.swap(t, shown(t, a, "app", time.Time{}))
	admin, _, p := launched(t, fmt.Sprintf(`
listeners:
  - {address: %q, to: shop}
  - {address: %q, to: narrow}
  - {address: %q, protocol: forward, allow: ["example.com:443"]}
  - {address: %q, routes: [{to: shop, mirror: {to: narrow}}]}
upstreams:
  shop: {url: "file+http://%s", balance: round_robin}
  secured: {url: "https://127.0.0.1:1", tls: {ca: %[6]s/ca.crt, cert: %[6]s/tls.crt, key: %[6]s/tls.key}}
  narrow: {url: %[7]q, limits: {requests: 1, queue: 1, queue_timeout: 1m}}
`, address, narrow, egress, dark, list, v.dir, s.URL), "--drain-quiet", "2s")
	scrape := func() string { _, text := kittest.Get("http://" + admin + "/metrics"); return text }
	moved := func(what, name string, least float64, labels ...string) {
		t.Helper()
		kittest.Eventually(t, 15*time.Second, func() bool { got, ok := value(scrape(), name, labels...); return ok && got >= least }, what+": "+name+" "+strings.Join(labels, ","))
	}
	c := client(t, false)

	sick.Store(true)
	for range 20 {
		do(t, c, "GET", "http://"+address+"/", "")
	}
	moved("retries", "ambassador_retries_total", 1, `upstream="shop"`, `reason="upstream_unavailable"`)
	moved("tries", "ambassador_upstream_attempts_total", 5, `upstream="shop"`, `result="upstream_unavailable"`)
	moved("ejection", "ambassador_endpoint_ejections_total", 1, `upstream="shop"`, `reason="consecutive_failures"`)
	if tokens, ok := value(scrape(), "ambassador_retry_budget_tokens", `upstream="shop"`); !ok || tokens < 0 {
		t.Errorf("retry budget: %v %v", tokens, ok)
	}
	sick.Store(false)
	kittest.Eventually(t, 15*time.Second, func() bool {
		do(t, c, "GET", "http://"+address+"/", "")
		well, _ := value(scrape(), "ambassador_endpoints", `upstream="shop"`, `state="healthy"`)
		return well == 2
	}, "the probe to let the endpoint in again")

	write(t, list, "nonsense")
	moved("failed lookups", "ambassador_dns_refresh_total", 1, `upstream="shop"`, `result="failed"`)
	moved("age of the answer", "ambassador_dns_age_seconds", 1, `upstream="shop"`)
	moved("expiry", "ambassador_tls_cert_not_after_seconds", float64(time.Now().Unix()), `upstream="secured"`)

	var waiting []chan int
	for range 2 { // one works, one waits
		answered := make(chan int, 1)
		waiting = append(waiting, answered)
		go func() { status, _ := kittest.Get("http://" + narrow + "/hold"); answered <- status }()
		moved("a place that is taken", "ambassador_connections", 1, `upstream="narrow"`, `side="upstream"`, `state="active"`)
	}
	moved("the queue", "ambassador_pending", 1, `upstream="narrow"`)
	if response, _ := do(t, c, "GET", "http://"+narrow+"/", ""); response.StatusCode != 503 || response.Header.Get("X-Ambassador-Error") != "queue_full" {
		t.Errorf("past the queue: %d %v", response.StatusCode, response.Header)
	}
	moved("queue_full", "ambassador_requests_total", 1, `upstream="narrow"`, `reason="queue_full"`, `code="5xx"`)
	for range 2 { // one to each endpoint
		do(t, c, "POST", "http://"+dark+"/", strings.Repeat("x", 100<<10))
	}
	moved("copies that are not sent", "ambassador_mirror_dropped_total", 1, `upstream="narrow"`, `reason="body"`)
	close(hold)
	for _, answered := range waiting {
		if status := <-answered; status != 200 {
			t.Errorf("what was held: %d", status)
		}
	}
	if _, err := fmt.Fprint(dialed(t, address), "GET /\r\n\r\n"); err != nil {
		t.Error(err)
	}
	moved("rejections", "ambassador_rejected_requests_total", 1, `reason="client_bad_request"`)
	moved("durations", "ambassador_request_duration_seconds_count", 20, `upstream="shop"`)
	moved("bytes in", "ambassador_bytes_total", 100<<10, `direction="in"`)
	moved("bytes out", "ambassador_bytes_total", 100<<10, `direction="out"`)

	p.Signal(syscall.SIGTERM) // it drains, and still answers its metrics and the app
	begin := time.Now()
	for time.Since(begin) < 700*time.Millisecond {
		if response, _ := do(t, c, "GET", "http://"+address+"/", ""); response.StatusCode != 200 {
			t.Fatal(response.Status)
		}
	}
	if status, _ := kittest.Get("http://" + admin + "/readyz"); status != 503 {
		t.Errorf("/readyz while draining: %d", status)
	}
	if _, ok := value(scrape(), "ambassador_requests_total", `upstream="shop"`); !ok {
		t.Error("no metrics while draining")
	}
	if code := p.Wait(10 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSIGTERM_EndsAtTheDrainTimeoutAtTheLatest(t *testing.T) {
	s := server(t, http.HandlerFunc(echo), false, false)
	address, _, p := proxied(t, s.URL, "--drain-quiet", "1s", "--drain-timeout", "1500ms")
	c := client(t, false)
	do(t, c, "GET", "http://"+address+"/", "")
	p.Signal(syscall.SIGTERM)
	begin := time.Now()
	for { // never quiet
		response, err := c.Get("http://" + address + "/")
		if err != nil {
			break
		}
		response.Body.Close()
	}
	if took := time.Since(begin); took < time.Second {
		t.Errorf("it left the app alone after %s", took)
	}
	if code := p.Wait(10 * time.Second); code != 0 && code != 3 {
		t.Errorf("exit code %d", code)
	}
}

func TestFault_DelaysAbortsAndAnswersAShareOfTheRequests(t *testing.T) {
	s := server(t, http.HandlerFunc(echo), false, false)
	address := kittest.FreeAddress(t)
	admin := configured(t, fmt.Sprintf(`
listeners:
  - address: %q
    routes:
      - {match: {path: /late}, to: late}
      - {match: {path: /cut}, to: cut}
      - {to: half}
upstreams:
  late: {url: %[2]q, fault: {percent: 100, delay: 300ms}}
  cut: {url: %[2]q, fault: {percent: 100, abort: true}}
  half: {url: %[2]q, fault: {percent: 50, status: 418}}
`, address, s.URL))
	for _, h2 := range []bool{false, true} {
		c := client(t, h2)
		begin := time.Now()
		if response, _ := do(t, c, "GET", "http://"+address+"/late", ""); response.StatusCode != 200 || time.Since(begin) < 300*time.Millisecond {
			t.Errorf("h2 %v: delayed: %d after %s", h2, response.StatusCode, time.Since(begin))
		}
		if response, err := c.Post("http://"+address+"/cut", "", nil); err == nil {
			t.Errorf("h2 %v: aborted: %d", h2, response.StatusCode)
		}
		seen := map[int]int{}
		for range 100 {
			response, _ := do(t, c, "GET", "http://"+address+"/", "")
			seen[response.StatusCode]++
		}
		if seen[418] < 25 || seen[200] < 25 || seen[418]+seen[200] != 100 {
			t.Errorf("h2 %v: half of the requests: %v", h2, seen)
		}
	}
	if _, metrics := kittest.Get("http://" + admin + "/metrics"); strings.Contains(metrics, "ejections_total{") {
		t.Error("a fault on purpose is blamed on an endpoint")
	}
}

func TestAccessLog_TellsOfEachRequestOfBothEngines(t *testing.T) {
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fails" {
			w.WriteHeader(500)
		}
		_, _ = io.Copy(w, r.Body)
	}), false, false)
	fast, std := kittest.FreeAddress(t), kittest.FreeAddress(t)
	_, _, p := launched(t, fmt.Sprintf("access_log: {format: json, sample: 0.0001}\nlisteners: [{address: %q, to: fast}, {address: %q, to: std}]\nupstreams:\n  fast: {url: %q}\n  std: {url: %q, fault: {percent: 0}}\n", fast, std, s.URL, s.URL))
	host := strings.TrimPrefix(s.URL, "http://")
	for up, address := range map[string]string{"fast": fast, "std": std} {
		for range 20 {
			do(t, client(t, false), "GET", "http://"+address+"/fine", "")
		}
		do(t, client(t, false), "PUT", "http://"+address+"/fails?a=b", "12345")
		want := map[string]any{"msg": "request", "listener": address, "method": "PUT", "host": address, "target": "/fails?a=b", "status": 500.0, "reason": "ok",
			"upstream": up, "endpoint": host, "tries": 1.0, "bytes_in": 5.0, "bytes_out": 5.0}
		kittest.Eventually(t, 5*time.Second, func() bool { return strings.Contains(p.Stdout.String(), `"upstream":"`+up+`"`) }, "the line of "+up)
		for lines := bufio.NewScanner(strings.NewReader(p.Stdout.String())); lines.Scan(); {
			var got map[string]any
			if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
				t.Fatalf("%v in %s", err, lines.Bytes())
			}
			if got["upstream"] != up || got["status"] != 500.0 {
				continue
			}
			for key, value := range want {
				if got[key] != value {
					t.Errorf("%s: %s is %v, want %v", up, key, got[key], value)
				}
			}
			if seconds, _ := got["seconds"].(float64); seconds <= 0 {
				t.Errorf("%s: it took %v s", up, got["seconds"])
			}
		}
	}
	if n := strings.Count(p.Stdout.String(), `"target":"/fine"`); n > 5 {
		t.Errorf("%d of 40 good requests are in a sample of 0.01 %%", n)
	}
}
