package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose/judge"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func TestRealPrometheus_ScrapesTheBinaryAndPromtoolFindsNothing(t *testing.T) {
	kittest.NeedReal(t, "prometheus", "promtool")
	shop, port := newApp(t, `{"db":{"pool_used":3},"requests_total":9}`), kittest.FreePort(t)
	admin, _ := adapter(t, "--source", "json+"+shop.URL, "--source", "statsd://127.0.0.1:"+port, "--source", "resources:?volume=/")
	send(t, "udp", "127.0.0.1:"+port, "shop.took:250|ms\nshop.hits:1|c")
	shows(t, admin, "shop_hits_total 1")

	if out := judge.Promtool(t, fetch(t, admin, "text/plain")); out != "" {
		t.Error(out)
	}
	prometheusShows(t, "  static_configs: [{targets: ['"+admin+"']}]\n", map[string]string{
		"up": "1", "app_db_pool_used": "3", "app_requests_total": "9", "shop_hits_total": "1",
		"histogram_count(shop_took_seconds)": "1", `adapter_source_up{source="json"}`: "1",
	})
}

// TestRealPrometheus_ScrapesOverTLSWithAPassword uses one web configuration, the one that Prometheus itself would take.
func TestRealPrometheus_ScrapesOverTLSWithAPassword(t *testing.T) {
	kittest.NeedReal(t, "prometheus", "promtool")
	a, address := kittest.NewAuthority(t), kittest.FreeAddress(t)
	dir := a.Dir
	a.Issue("server", "server")
	a.Issue("scraper", "scraper")
	hash, err := bcrypt.GenerateFromPassword([]byte("s3cret"), 10)
	if err != nil {
		t.Fatal(err)
	}
	web := filepath.Join(dir, "web.yml")
	write(t, web, "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n  min_version: TLS13\nbasic_auth_users:\n  prom: "+string(hash)+"\n")
	if out, err := exec.Command("promtool", "check", "web-config", web).CombinedOutput(); err != nil {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	shop := newApp(t, `{"db":{"pool_used":3}}`)
	admin, _ := adapter(t, "--source", "json+"+shop.URL, "--metrics-address", address, "--web-config", web)
	mustHave(t, scrape(t, admin), "app_db_pool_used 3") // loopback
	if status, _ := kittest.Get("http://" + address + "/metrics"); status == http.StatusOK {
		t.Error("answered without TLS")
	}
	prometheusShows(t, fmt.Sprintf("  scheme: https\n  tls_config: {ca_file: %[1]s/ca.pem, cert_file: %[1]s/scraper.crt, key_file: %[1]s/scraper.key, server_name: server}\n"+
		"  basic_auth: {username: prom, password: s3cret}\n  static_configs: [{targets: ['%[2]s']}]\n", dir, address), map[string]string{"up": "1", "app_db_pool_used": "3"})
}

// prometheusShows starts a Prometheus with one job and returns when the queries have their values.
func prometheusShows(t *testing.T, job string, queries map[string]string) {
	t.Helper()
	dir, web := t.TempDir(), kittest.FreeAddress(t)
	file := filepath.Join(dir, "prometheus.yml")
	write(t, file, "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n- job_name: a\n"+job)
	kittest.Start(t, nil, "prometheus", "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", web, "--enable-feature", "native-histograms")
	for query, want := range queries {
		kittest.Eventually(t, 20*time.Second, func() bool {
			_, got := kittest.Get("http://" + web + "/api/v1/query?query=" + url.QueryEscape(query))
			return strings.Contains(got, `"`+want+`"`)
		}, query+" to be "+want)
	}
}
