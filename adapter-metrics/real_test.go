package main

import (
	"crypto/x509"
	"encoding/pem"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

	_, page := kittest.Get("http://" + admin + "/metrics")
	lint := exec.Command("promtool", "check", "metrics")
	lint.Stdin = strings.NewReader(page)
	if out, err := lint.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}

	dir, web := t.TempDir(), kittest.FreeAddress(t)
	file := filepath.Join(dir, "prometheus.yml")
	write(t, file, "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n- job_name: a\n  static_configs: [{targets: ['"+admin+"']}]\n")
	kittest.Start(t, nil, "prometheus", "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", web, "--enable-feature", "native-histograms")
	for query, want := range map[string]string{
		"up": `"1"`, "app_db_pool_used": `"3"`, "app_requests_total": `"9"`, "shop_hits_total": `"1"`,
		"histogram_count(shop_took_seconds)": `"1"`, `adapter_source_up{source="json"}`: `"1"`,
	} {
		last := ""
		kittest.Eventually(t, 20*time.Second, func() bool {
			_, last = kittest.Get("http://" + web + "/api/v1/query?query=" + strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22", "=", "%3D").Replace(query))
			return strings.Contains(last, want)
		}, query+" to be "+want)
	}
}
