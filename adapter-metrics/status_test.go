package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// status polls the facts of the status page until is true of them.
func status(t *testing.T, address string, is func(sources map[string][]string, lines []string) bool) {
	t.Helper()
	var text string
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(text)
		}
	})
	kittest.Eventually(t, 10*time.Second, func() bool {
		_, text = kittest.Get("http://" + address + "/status.json")
		var s admin.Status
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		sources, lines := map[string][]string{}, []string{}
		for _, section := range s.Sections {
			lines = append(lines, section.Lines...)
			for _, row := range section.Rows {
				sources[row.Cells[0]] = append(row.Cells[1:], row.State)
			}
		}
		return is(sources, lines)
	}, "the status page")
}

func TestStatus_ShowsRawInputBesideTheMetricsThatItBecomes(t *testing.T) {
	port, file := kittest.FreePort(t), filepath.Join(t.TempDir(), "a.log")
	shop := newApp(t, `{"pools":{"a":{"used":3}},"password":"hidden","took_ms":250,"debug":{"n":1}}`)
	admin, _, _ := configured(t, "sources:\n- {name: shop, json: {url: "+shop.URL+"}, rules: [{match: 'pools.{pool}.used', name: shop_pool_used}, {match: debug.n, drop: true}]}\n"+
		"- statsd: {listen: ['udp://127.0.0.1:"+port+"']}\n- log: {path: "+file+", pattern: '{status} {path}'}\n  metrics: [{name: hits_total, labels: [status]}]\n")
	scrape(t, admin)
	send(t, "udp", "127.0.0.1:"+port, "cart.took:250|ms|#zone:a\nodd\nadapter.x:1|c\n")
	write(t, file, "200 /\nodd\n")
	want := []string{
		`pools.a.used = 3  →  shop_pool_used{pool="a"} 3  gauge  (rule pools.{pool}.used)`,
		`took_ms = 250  →  app_took_seconds 0.25  gauge  (no rule: named by its path; nearest is pools.{pool}.used, which has "pools" where "took_ms" stands, × 0.001)`,
		`cart.took:250|ms|#zone:a  →  cart_took_seconds{zone="a"}  histogram  (no rule: named by its path)`,
		`odd  →  nothing  (it is malformed)`, `adapter.x:1|c  →  nothing  (add metric adapter_x_total: it uses the prefix of the helper's own metrics adapter_* (rename one of them with a rule))`,
		`200 /`, `  →  hits_total{status="200"} 1  counter  (counts lines)`,
	}
	status(t, admin, func(_ map[string][]string, lines []string) bool {
		if all := strings.Join(lines, "\n"); strings.Contains(all, "hidden") || strings.Contains(all, "debug") {
			t.Error("a value that becomes nothing is shown")
		}
		return !slices.ContainsFunc(want, func(line string) bool { return !slices.Contains(lines, line) })
	})
}

func TestStatus_SaysOfEachSourceSinceWhenAndWhyItGivesNothing(t *testing.T) {
	dir := t.TempDir()
	shop := newApp(t, "<html>")
	admin, _, _ := configured(t, "sources:\n- {name: shop, json: {url: "+shop.URL+"}}\n"+
		"- {name: gone, log: {path: "+dir+"/gone.log, format: json}, metrics: [{name: a_total}]}\n"+
		"- {name: there, log: {path: "+dir+"/there.log, format: json}, metrics: [{name: b_total}]}\n"+
		"- {name: mem, log: {path: /proc/self/mem, format: json}, metrics: [{name: c_total}]}\n")
	scrape(t, admin)
	write(t, dir+"/there.log", "{}\n")
	status(t, admin, func(sources map[string][]string, lines []string) bool {
		is := func(name, state, why, health string) bool {
			s := sources[name]
			return s[0] == state && strings.Contains(s[4], why) && s[5] == health
		}
		return is("shop", "absent", "no value at offset 0", "warn") && is("gone", "absent", "no such file", "warn") &&
			is("there", "following", "", "ok") && sources["there"][1] != "never" && is("mem", "unreadable", "input/output error", "warn") &&
			slices.Contains(lines, "<html>…  →  nothing  (decode JSON: no value at offset 0)")
	})
}
