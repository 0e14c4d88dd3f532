package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// counting is a backend that counts its requests.
func counting(t *testing.T) (url string, hits *atomic.Int64) {
	hits = &atomic.Int64{}
	return server(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }), false, false).URL, hits
}

// configured starts an ambassador with a configuration file.
func configured(t *testing.T, text string) (admin string) {
	t.Helper()
	admin, _, _ = launched(t, text)
	return admin
}

// launched is configured with the file, which may be changed, and the process.
func launched(t *testing.T, text string, args ...string) (admin, file string, p *kittest.Process) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "c.yaml")
	write(t, file, text)
	admin = kittest.FreeAddress(t)
	p = kittest.Start(t, nil, "ambassador-proxy", append([]string{"--admin-address", admin, "--config", file}, args...)...)
	p.WaitReady(admin)
	return admin, file, p
}

func TestRoutes_SplitMirrorAndFaultAsConfigured(t *testing.T) {
	shop, shopHits := counting(t)
	canary, canaryHits := counting(t)
	dark, darkHits := counting(t)
	address := kittest.FreeAddress(t)
	configured(t, fmt.Sprintf(`
listeners:
  - address: %q
    routes:
      - {match: {path: /broken}, to: broken}
      - {match: {header: {x-beta: "1"}}, to: canary}
      - {match: {methods: [PUT]}, to: shop, mirror: {to: dark}}
      - {match: {path: /split}, to: {shop: 50, canary: 50}, split_by: "header:x-user"}
upstreams:
  shop: {url: %q}
  canary: {url: %q}
  dark: {url: %q}
  broken: {url: %q, fault: {percent: 100, status: 418}}
`, address, shop, canary, dark, shop))
	c := client(t, false)
	call := func(method, path string, header ...string) int {
		r, _ := http.NewRequest(method, "http://"+address+path, strings.NewReader("body"))
		if len(header) == 2 {
			r.Header.Set(header[0], header[1])
		}
		response, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if code := call("GET", "/broken/x"); code != 418 || shopHits.Load() != 0 {
		t.Errorf("fault: %d, %d requests got through", code, shopHits.Load())
	}
	if code := call("GET", "/brokenx"); code != 404 {
		t.Errorf("a path that only begins like the prefix: %d", code)
	}
	if code := call("GET", "/", "X-Beta", "1"); code != 200 || canaryHits.Load() != 1 {
		t.Errorf("header route: %d, %d hits", code, canaryHits.Load())
	}
	if code := call("PUT", "/"); code != 200 || shopHits.Load() != 1 {
		t.Errorf("mirrored: %d, %d hits", code, shopHits.Load())
	}
	kittest.Eventually(t, 5*time.Second, func() bool { return darkHits.Load() == 1 }, "the mirrored copy")
	shopHits.Store(0)
	canaryHits.Store(0)
	for range 5 {
		call("GET", "/split", "X-User", "7")
	}
	if a, b := shopHits.Load(), canaryHits.Load(); a != 0 && b != 0 || a+b != 5 {
		t.Errorf("one user was split %d to %d", a, b)
	}
	for i := range 200 {
		call("GET", "/split", "X-User", fmt.Sprint(i))
	}
	if a, b := shopHits.Load(), canaryHits.Load(); a < 50 || b < 50 {
		t.Errorf("200 users were split %d to %d", a, b)
	}
}

func TestMirror_ACopyThatCanBeSentNowhereIsCounted(t *testing.T) {
	shop, _ := counting(t)
	address := kittest.FreeAddress(t)
	admin := configured(t, fmt.Sprintf(`
startup_wait: 10ms
listeners: [{address: %q, routes: [{to: shop, mirror: {to: dark}}]}]
upstreams: {shop: {url: %q}, dark: {url: "file+http:///none/at/all"}}
`, address, shop))
	if response, _ := do(t, client(t, false), "GET", "http://"+address+"/", ""); response.StatusCode != 200 {
		t.Error(response.Status)
	}
	kittest.Eventually(t, 5*time.Second, func() bool {
		_, metrics := kittest.Get("http://" + admin + "/metrics")
		return strings.Contains(metrics, `ambassador_mirror_dropped_total{reason="dns_failed",upstream="dark"} 1`)
	}, "the copy among those that were not sent")
}

func TestHashBy_AKeyStaysWithItsEndpointInEveryPodAndAfterAReload(t *testing.T) {
	var urls []string
	for i := range 3 {
		name := fmt.Sprint(i)
		urls = append(urls, strings.TrimPrefix(server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }), false, false).URL, "http://"))
	}
	text := func(address, timeout string) string {
		return fmt.Sprintf("listeners: [{address: %q, routes: [{to: a, hash_by: 'header:x-user', timeout: %s}]}]\nupstreams: {a: {url: 'http://%s', balance: ketama}}\n",
			address, timeout, strings.Join(urls, ","))
	}
	c := client(t, false)
	ask := func(address, user string) string {
		r, _ := http.NewRequest("GET", "http://"+address, nil)
		if user != "" {
			r.Header.Set("X-User", user)
		}
		response, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return string(body)
	}
	users := func(address string) (ends string) {
		for i := range 20 {
			ends += ask(address, fmt.Sprint("user", i))
		}
		return ends
	}
	one, two := kittest.FreeAddress(t), kittest.FreeAddress(t)
	admin, file, _ := launched(t, text(one, "10s"))
	configured(t, text(two, "10s"))
	before := users(one)
	if other := users(two); other != before {
		t.Errorf("two Pods send the same users to\n%s\n%s", before, other)
	}
	write(t, file, text(one, "11s"))
	reloaded(t, admin, "timeout: 11s")
	if after := users(one); after != before {
		t.Errorf("after a reload users move from\n%s\n%s", before, after)
	}
	seen := map[string]bool{}
	for range 100 {
		seen[ask(one, "")] = true
	}
	if len(seen) != 3 {
		t.Errorf("requests without the header all go to %v", seen)
	}
}

func TestStartupWait_HoldsRequestsUntilTheFirstEndpointIsKnown(t *testing.T) {
	backend, _ := counting(t)
	file := filepath.Join(t.TempDir(), "endpoints")
	address, _, _ := proxied(t, "file+http://"+file)
	answered := make(chan int, 1)
	go func() { status, _ := kittest.Get("http://" + address); answered <- status }()
	if err := os.WriteFile(file, []byte("# a list\n"+strings.TrimPrefix(backend, "http://")+" 3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if status := <-answered; status != 200 {
		t.Errorf("held request: %d", status)
	}
}
