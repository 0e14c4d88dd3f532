package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// load is callers, each with a connection of its own, that make one request after another until end.
type load struct {
	sent, failed atomic.Int64
	slowest      atomic.Int64 // nanoseconds, since it was set to 0
	stop         chan struct{}
	running      sync.WaitGroup
	once         sync.Once
}

func loaded(t *testing.T, callers int, method, url string) *load {
	l := &load{stop: make(chan struct{})}
	for range callers {
		c := client(t, false)
		l.running.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
					l.call(c, method, url)
				}
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) call(c *http.Client, method, url string) {
	begin := time.Now()
	r, err := http.NewRequest(method, url, nil)
	if err == nil {
		var response *http.Response
		if response, err = c.Do(r); err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.StatusCode != 200 {
				err = fmt.Errorf("status %d", response.StatusCode)
			}
		}
	}
	took := int64(time.Since(begin))
	for old := l.slowest.Load(); took > old && !l.slowest.CompareAndSwap(old, took); old = l.slowest.Load() {
	}
	l.sent.Add(1)
	if err != nil {
		l.failed.Add(1)
	}
}

func (l *load) end() {
	l.once.Do(func() { close(l.stop) })
	l.running.Wait()
}

// more waits for n requests from now on.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	at := l.sent.Load()
	kittest.Eventually(t, 20*time.Second, func() bool { return l.sent.Load() >= at+n }, fmt.Sprintf("%d more requests", n))
}

// backends are three servers with a handler, and their hosts with commas.
func backends(t *testing.T, h http.Handler) (all []*httptest.Server, hosts string) {
	var names []string
	for range 3 {
		s := server(t, h, false, false)
		all, names = append(all, s), append(names, strings.TrimPrefix(s.URL, "http://"))
	}
	return all, strings.Join(names, ",")
}

func TestOneOfThreeKilledUnderLoad_FailsNoMoreThanTheNonIdempotentRequestsInFlight(t *testing.T) {
	all, hosts := backends(t, http.HandlerFunc(echo))
	address, admin, _ := proxied(t, "http://"+hosts)
	const posting = 4
	gets, posts := loaded(t, 4, "GET", "http://"+address+"/"), loaded(t, posting, "POST", "http://"+address+"/")
	gets.more(t, 300)
	posts.more(t, 300)
	all[0].Listener.Close()
	all[0].CloseClientConnections()
	gets.more(t, 1000)
	posts.more(t, 1000)
	gets.end()
	posts.end()
	if gets.failed.Load() > 0 || posts.failed.Load() > posting {
		_, metrics := kittest.Get("http://" + admin + "/metrics")
		t.Errorf("%d of %d GETs and %d of %d POSTs failed, of which %d were in flight\n%s", gets.failed.Load(), gets.sent.Load(), posts.failed.Load(), posts.sent.Load(), posting, metrics)
	}
}

func TestSlowEndpoint_GetsFewRequests(t *testing.T) {
	var slow, fast atomic.Int64
	count := func(n *atomic.Int64, delay time.Duration) string {
		s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.Add(1)
			timer := time.NewTimer(delay)
			defer timer.Stop()
			<-timer.C
		}), false, false)
		return strings.TrimPrefix(s.URL, "http://")
	}
	address, _, _ := proxied(t, "http://"+count(&slow, 200*time.Millisecond)+","+count(&fast, 0)+","+count(&fast, 0))
	l := loaded(t, 4, "GET", "http://"+address+"/")
	l.more(t, 600)
	l.end()
	if n := slow.Load(); n == 0 || n > 60 { // a third would be 200
		t.Errorf("the slow endpoint got %d of %d", n, n+fast.Load())
	}
	if l.failed.Load() > 0 {
		t.Errorf("%d failed", l.failed.Load())
	}
}

func TestOutageOfAllBackends_IsNeverAmplifiedBeyondTheBudget(t *testing.T) {
	var calls atomic.Int64
	_, hosts := backends(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.WriteHeader(503)
	}))
	for _, h2 := range []bool{false, true} {
		address, admin, _ := proxied(t, "http://"+hosts)
		calls.Store(0)
		c := client(t, h2)
		begin := time.Now()
		const n = 500
		for range n {
			do(t, c, "GET", "http://"+address+"/", "")
		}
		floor := 3 * (time.Since(begin).Seconds() + 1)
		if got, most := float64(calls.Load()), 1.2*n+floor; got > most {
			t.Errorf("h2 %v: %d requests became %.0f, at most %.0f are allowed", h2, n, got, most)
		}
		_, metrics := kittest.Get("http://" + admin + "/metrics")
		if strings.Contains(metrics, `ambassador_retries_refused_total{upstream="127.0.0.1"} 0`) {
			t.Errorf("h2 %v: the refused retries are not counted", h2)
		}
	}
}
