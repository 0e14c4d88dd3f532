package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestStatsD_OverUDPBecomesSeries(t *testing.T) {
	port := kittest.FreePort(t)
	admin, _ := adapter(t, "--source", "statsd://127.0.0.1:"+port)
	send(t, "udp", "127.0.0.1:"+port, "shop.hits:2|c|@0.5|#route:/a\nshop.users:7|g\nshop.took:250|ms\n")
	shows(t, admin, `shop_hits_total{route="/a"} 4`)
	mustHave(t, scrape(t, admin), "shop_users 7", `shop_took_seconds_bucket{le="0.25"} 1`, "shop_took_seconds_sum 0.25",
		`adapter_unmatched_total{source="statsd"} 0`, `adapter_statsd_lines_total{source="statsd"} 3`)
}

func TestStatsD_TimerIsInMillisecondsWhateverItsRuleSays(t *testing.T) {
	port := kittest.FreePort(t)
	admin, _, _ := configured(t, "sources:\n- statsd: {listen: ['udp://127.0.0.1:"+port+"']}\n  rules:\n  - {match: a, name: a, unit: ms}\n  - {match: b, name: b, unit: s}\n  - {match: c, name: c}\n")
	send(t, "udp", "127.0.0.1:"+port, "a:250|ms\nb:250|ms\nc:250|ms")
	shows(t, admin, "a_seconds_sum 0.25")
	mustHave(t, scrape(t, admin), "b_seconds_sum 0.25", "c_sum 0.25")
}

func TestSource_ThatIsAbsentIsANormalState(t *testing.T) {
	shop, other := newApp(t, ""), newApp(t, `{"b":1}`)
	admin, _, _ := configured(t, "sources:\n- {name: shop, json: {url: "+shop.URL+"}}\n- {name: other, json: {url: "+other.URL+"}}\n")
	mustHave(t, scrape(t, admin), `adapter_source_up{source="shop"} 0`, `adapter_source_errors_total{reason="status",source="shop"} 1`, "app_b 1")
	shop.say(`{"a":1}`)
	mustHave(t, scrape(t, admin), `adapter_source_up{source="shop"} 1`, "app_a 1")
	shop.say(`{"a":2,`)
	mustHave(t, scrape(t, admin), `adapter_source_up{source="shop"} 0`, "!app_a", `adapter_source_errors_total{reason="document",source="shop"} 1`)
}

func TestSource_WhoseReplyIsCutShortIsAway(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"a":1}`)
	}))
	defer app.Close()
	admin, _ := adapter(t, "--source", "json+"+app.URL)
	mustHave(t, scrape(t, admin), "!app_a", `adapter_source_errors_total{reason="document",source="json"} 1`)
}

// TestPrometheus_APageOfOpenMetricsThatIsCutIsNeverServed is OpenMetrics' "partial expositions are erroneous in their entirety".
func TestPrometheus_APageOfOpenMetricsThatIsCutIsNeverServed(t *testing.T) {
	page := atomic.Pointer[string]{}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
		fmt.Fprint(w, *page.Load())
	}))
	defer app.Close()
	whole, cut := "# TYPE a gauge\na 1\nb 2\n# EOF", "# TYPE a gauge\na 1\n"
	page.Store(&whole)
	admin, _, _ := configured(t, "sources:\n- {name: app, document: {format: prometheus, url: "+app.URL+"}}\n- resources: {}\n")
	mustHave(t, scrape(t, admin), "a 1", "b 2", `adapter_source_up{source="app"} 1`)
	page.Store(&cut)
	mustHave(t, scrape(t, admin), "!a 1", `adapter_source_up{source="app"} 0`, `adapter_source_errors_total{reason="document",source="app"} 1`)
}

func TestSource_ThatAnswersWithNothingOrWithAPageOfErrorIsAway(t *testing.T) {
	for _, body := range []string{" ", "<html>502 Bad Gateway</html>", `"fine"x`} {
		shop := newApp(t, body)
		admin, _ := adapter(t, "--source", "json+"+shop.URL)
		status, page := kittest.Get("http://" + admin + "/metrics")
		if status != http.StatusServiceUnavailable {
			t.Errorf("%q: status %d", body, status)
		}
		mustHave(t, page, `adapter_source_up{source="json"} 0`, `adapter_source_errors_total{reason="document",source="json"} 1`, `adapter_parse_errors_total{reason="document",source="json"} 1`)
	}
}

func TestSources_ThatAreAllAwayAre503WithTheHelpersOwnMetrics(t *testing.T) {
	admin, _ := adapter(t, "--source", "json+http://"+kittest.FreeAddress(t)+"/stats")
	status, page := kittest.Get("http://" + admin + "/metrics")
	if status != http.StatusServiceUnavailable {
		t.Errorf("status %d", status)
	}
	mustHave(t, page, `adapter_source_up{source="json"} 0`, `adapter_source_errors_total{reason="absent",source="json"} 1`)
	if status, _ := kittest.Get("http://" + admin + "/readyz"); status != 200 {
		t.Errorf("an adapter whose app is away is not ready: %d", status)
	}
}

func TestSeries_ThatVanishFromADocumentVanishFromThePage(t *testing.T) {
	shop := newApp(t, `{"pools":{"/a":{"n":1},"/b":{"n":2}}}`)
	admin, _ := adapter(t, "--source", "json+"+shop.URL)
	mustHave(t, scrape(t, admin), `app_pools_n{pool="/a"} 1`, `app_pools_n{pool="/b"} 2`)
	shop.say(`{"pools":{"/b":{"n":3}}}`)
	mustHave(t, scrape(t, admin), `!app_pools_n{pool="/a"}`, `app_pools_n{pool="/b"} 3`)
}

func TestFamily_ThatConflictsIsRefusedCountedAndNamedOnce(t *testing.T) {
	port := kittest.FreePort(t)
	admin, p := adapter(t, "--source", "statsd://127.0.0.1:"+port)
	send(t, "udp", "127.0.0.1:"+port, "stat:5|ms")
	shows(t, admin, "stat_seconds_count 1")
	for range 3 {
		send(t, "udp", "127.0.0.1:"+port, "stat.seconds.count:1|g\nstat.seconds:1|g\nfine:1|g")
	}
	shows(t, admin, `adapter_conflicts_total{metric="stat_seconds"} 3`)
	mustHave(t, scrape(t, admin), "fine 1", "stat_seconds_count 1")
	if n := strings.Count(p.Stderr.String(), "metric refused"); n != 1 {
		t.Errorf("named %d times\n%s", n, p.Stderr)
	}
}

func TestLimits_FoldNewSeriesAndCountThem(t *testing.T) {
	port := kittest.FreePort(t)
	admin, _ := adapter(t, "--max-series", "10", "--source", "statsd://127.0.0.1:"+port)
	for i := range 30 {
		send(t, "udp", "127.0.0.1:"+port, fmt.Sprintf("hits:1|c|#user:%d", i))
	}
	shows(t, admin, `hits_total{other="true"} 20`)
	mustHave(t, scrape(t, admin), `adapter_series_limited_total{reason="series",source="statsd"} 20`)
}

func TestHTTP_OverAUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, `{"path":"%s","n":1}`, r.URL) }))
	s.Listener = l
	s.Start()
	defer s.Close()
	admin, _, _ := configured(t, "sources:\n- json: {url: 'http+unix://"+socket+":/stats?full=1'}\n  rules: [{match: path, name: path_info, type: info, labels: {path: '{value}'}}]\n")
	mustHave(t, scrape(t, admin), `path_info{path="/stats?full=1"} 1`, "app_n 1")
}

func TestPull_IsWithinTheScrapersOwnTimeout(t *testing.T) {
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer slow.Close()
	defer close(release)
	fast := newApp(t, `{"a":1}`)
	admin, _, _ := configured(t, "sources:\n- {name: slow, json: {url: "+slow.URL+"}}\n- {name: fast, json: {url: "+fast.URL+"}}\n")
	r, _ := http.NewRequest("GET", "http://"+admin+"/metrics", nil)
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "0.8")
	begin := time.Now()
	response, err := (&http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("a scrape with 0.8 s took %s", took)
	}
	status := statusPage(t, admin)
	if !strings.Contains(status, `"slow","absent"`) || !strings.Contains(status, `"fast","up"`) {
		t.Error(status)
	}
}

func statusPage(t *testing.T, admin string) string {
	t.Helper()
	_, body := kittest.Get("http://" + admin + "/status.json")
	return strings.ReplaceAll(strings.ReplaceAll(body, "\n", ""), " ", "")
}

func TestCredentials_AreReadAgainWhenTheyRotate(t *testing.T) {
	want := "one"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "me" || password != want || r.Header.Get("X-Token") != want {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"a":1}`)
	}))
	defer s.Close()
	secret := filepath.Join(t.TempDir(), "password")
	write(t, secret, "one\n")
	admin, _, _ := configured(t, "sources:\n- json: {url: "+s.URL+", headers: {X-Token: 'file:"+secret+"'}, basic_auth: {username: me, password: 'file:"+secret+"'}}\n")
	mustHave(t, scrape(t, admin), "app_a 1")
	want = "second"
	write(t, secret, "second\n")
	shows(t, admin, "app_a 1")
}

func TestTLS_IsVerifiedByTheConfiguredAuthority(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"a":1}`) }))
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, pemOf(s.Certificate()))
	admin, _, _ := configured(t, "sources:\n- {name: good, json: {url: "+s.URL+", tls: {ca: "+ca+"}}}\n- {name: bad, json: {url: "+s.URL+"}}\n")
	mustHave(t, scrape(t, admin), `adapter_source_up{source="good"} 1`, `adapter_source_up{source="bad"} 0`, `adapter_source_errors_total{reason="tls",source="bad"} 1`)
}

func TestTLS_OfRedisUsesTheAuthorityThatIsThereNow(t *testing.T) {
	authority := kittest.NewAuthority(t)
	certificate := authority.Issue("redis", "127.0.0.1")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := c.Read(make([]byte, 100)); err == nil { // not without a handshake
				_, _ = io.WriteString(c, "$19\r\nconnected_clients:3\r\n")
			}
			c.Close()
		}
	}()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, pemOf(kittest.NewAuthority(t).Cert))
	admin, _, _ := configured(t, "sources:\n- {name: r, preset: redis, document: {format: redis, url: 'rediss://"+l.Addr().String()+"', tls: {ca: "+ca+"}}}\n")
	mustHave(t, scrape(t, admin), `adapter_source_errors_total{reason="tls",source="r"} 1`)
	write(t, ca, pemOf(authority.Cert))
	shows(t, admin, `adapter_source_up{source="r"} 1`)
}

func TestInterval_PullsByItsOwnClock(t *testing.T) {
	shop := newApp(t, `{"a":1}`)
	admin, _, _ := configured(t, "sources:\n- json: {url: "+shop.URL+"}\n  interval: 50ms\n")
	shows(t, admin, "app_a 1")
	shop.say("")
	shows(t, admin, `adapter_source_up{source="json"} 0`)
	mustHave(t, scrape(t, admin), "!app_a")
}

func TestPage_HasNothingThatPromlintFinds(t *testing.T) {
	shop, port := newApp(t, `{"db":{"pool_used":3,"took_ms":5},"http_requests_total":9,"mem_kb":7}`), kittest.FreePort(t)
	admin, _ := adapter(t, "--source", "json+"+shop.URL, "--source", "statsd://127.0.0.1:"+port, "--source", "resources:?volume=/")
	send(t, "udp", "127.0.0.1:"+port, "shop.hits:1|c\nshop.took:1|ms\nshop.n:1|g")
	shows(t, admin, "shop_n 1")
	_, page := kittest.Get("http://" + admin + "/metrics")
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "go_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}
