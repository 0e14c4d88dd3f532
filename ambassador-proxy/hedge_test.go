package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestHedge_ASecondEndpointAnswersForASlowOneWithinTheBudget(t *testing.T) {
	release := make(chan struct{})
	var stuck, cancelled atomic.Int64
	slow := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stuck.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
			cancelled.Add(1)
		}
	}), false, false)
	var once sync.Once
	free := func() { once.Do(func() { close(release) }) }
	t.Cleanup(free) // before the server is closed, which waits
	fast := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fast") }), false, false)
	address := kittest.FreeAddress(t)
	admin := configured(t, fmt.Sprintf(`
listeners: [{address: %q, to: shop}]
upstreams:
  shop: {url: "http://%s,%s", balance: round_robin, hedge: {after: 30ms}}
`, address, strings.TrimPrefix(slow.URL, "http://"), strings.TrimPrefix(fast.URL, "http://")))
	c := client(t, false)
	for range 2 { // the budget allows three at once
		if response, body := do(t, c, "GET", "http://"+address+"/", ""); response.StatusCode != 200 || body != "fast" {
			t.Fatalf("%d %q", response.StatusCode, body)
		}
	}
	if stuck.Load() == 0 {
		t.Fatal("the slow endpoint was never asked")
	}
	kittest.Eventually(t, 5*time.Second, func() bool { return cancelled.Load() == stuck.Load() }, "the losers to be called off")
	kittest.Eventually(t, 5*time.Second, func() bool {
		_, metrics := kittest.Get("http://" + admin + "/metrics")
		return strings.Contains(metrics, fmt.Sprintf(`ambassador_retries_total{reason="upstream_timeout_headers",upstream="shop"} %d`, stuck.Load()))
	}, "the hedges to be on the budget's count")
	before := stuck.Load()
	post := &http.Client{Transport: c.Transport, Timeout: 300 * time.Millisecond}
	for range 2 { // one of them meets the slow endpoint
		if response, err := post.Post("http://"+address, "text/plain", nil); err == nil {
			response.Body.Close()
		}
	}
	if stuck.Load() != before+1 {
		t.Errorf("POSTs met the slow endpoint %d times: one was sent twice", stuck.Load()-before)
	}
}

func TestTrace_IsStartedWhenAskedAndOtherwisePassedThrough(t *testing.T) {
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Join(r.Header["Traceparent"], ","))
	}), false, false)
	asked, silent := kittest.FreeAddress(t), kittest.FreeAddress(t)
	configured(t, fmt.Sprintf(`
listeners: [{address: %q, to: asked}, {address: %q, to: silent}]
upstreams:
  asked: {url: %q, trace: true}
  silent: {url: %q}
`, asked, silent, s.URL, s.URL))
	const own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	started := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`)
	for _, h2 := range []bool{false, true} {
		c := client(t, h2)
		if _, got := do(t, c, "GET", "http://"+asked+"/", ""); !started.MatchString(got) {
			t.Errorf("h2 %v: started %q", h2, got)
		}
		if _, got := do(t, c, "GET", "http://"+silent+"/", ""); got != "" {
			t.Errorf("h2 %v: invented %q", h2, got)
		}
		r, _ := http.NewRequest("GET", "http://"+asked+"/", nil)
		r.Header.Set("Traceparent", own)
		response, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if string(got) != own {
			t.Errorf("h2 %v: %q instead of the app's", h2, got)
		}
	}
}
