package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// stalling is a backend that sends as much as the path says and then nothing more until the request is given up.
func stalling(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then net/http notices that the other side has gone
	if r.URL.Path == "/stream" {
		_, _ = w.Write([]byte("begin"))
		_ = http.NewResponseController(w).Flush()
	}
	<-r.Context().Done()
}

func TestTimers_OfBothEnginesSayWhichOneFired(t *testing.T) {
	s := server(t, http.HandlerFunc(stalling), false, false)
	for _, row := range []struct{ option, path, word string }{
		{"header_timeout=100ms", "/", "upstream_timeout_headers"},
		{"timeout=100ms", "/", "request_timeout"},
	} {
		address, _, _ := proxied(t, s.URL+"?"+row.option)
		for _, h2 := range []bool{false, true} {
			response, body := do(t, client(t, h2), "POST", "http://"+address+row.path, "x")
			if response.StatusCode != 504 || response.Header.Get("X-Ambassador-Error") != row.word {
				t.Errorf("%s, h2 %v: %d %v %q", row.option, h2, response.StatusCode, response.Header, body)
			}
		}
	}
}

func TestIdleTimer_OfBothEnginesCutsAStreamSoThatItDoesNotLookWhole(t *testing.T) {
	s := server(t, http.HandlerFunc(stalling), false, false)
	address, admin, _ := proxied(t, s.URL+"?idle_timeout=500ms")
	for _, h2 := range []bool{false, true} {
		response, err := client(t, h2).Get("http://" + address + "/stream")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := response.Body.Read(make([]byte, 5)); n != 5 {
			t.Errorf("h2 %v: %d bytes, %v", h2, n, err)
		}
		if _, err := response.Body.Read(make([]byte, 1)); err == nil || err.Error() == "EOF" {
			t.Errorf("h2 %v: the cut stream ended with %v", h2, err)
		}
		response.Body.Close()
	}
	kittest.Eventually(t, 5*time.Second, func() bool {
		_, metrics := kittest.Get("http://" + admin + "/metrics")
		return strings.Contains(metrics, `code="2xx",listener="`+address+`",reason="upstream_timeout_idle",upstream="127.0.0.1"} 2`)
	}, "both in the metric")
}

func TestGRPC_DeadlineOfTheCallIsHonoured(t *testing.T) {
	s := server(t, http.HandlerFunc(stalling), false, true)
	address, _, _ := proxied(t, "grpc://"+strings.TrimPrefix(s.URL, "http://"))
	r, _ := http.NewRequest("POST", "http://"+address+"/s/m", strings.NewReader("\x00\x00\x00\x00\x00"))
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Grpc-Timeout", "100m")
	begin := time.Now()
	response, err := client(t, true).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 || response.Header.Get("Grpc-Status") != "4" || time.Since(begin) > 5*time.Second {
		t.Errorf("%d %v after %s", response.StatusCode, response.Header, time.Since(begin))
	}
}

func TestRetry_ABodyBeyond64KiBIsSentOnce(t *testing.T) {
	var calls atomic.Int64
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if calls.Add(1) == 1 {
			w.WriteHeader(503)
		}
	}), false, false)
	address, _, _ := proxied(t, s.URL)
	for _, row := range []struct{ size, want int }{{64 << 10, 200}, {64<<10 + 1, 503}} {
		for _, h2 := range []bool{false, true} {
			calls.Store(0)
			response, _ := do(t, client(t, h2), "PUT", "http://"+address+"/", strings.Repeat("x", row.size))
			if response.StatusCode != row.want {
				t.Errorf("%d bytes, h2 %v: %d after %d calls", row.size, h2, response.StatusCode, calls.Load())
			}
		}
	}
}

func TestUpgrade_OnlyWebSocketsAndWhatIsListed(t *testing.T) {
	var asked atomic.Pointer[string]
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.Header.Get("Upgrade")
		asked.Store(&p)
		if p == "" {
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", p)
		c.Close()
	}), false, false)
	address := kittest.FreeAddress(t)
	configured(t, fmt.Sprintf("listeners: [{address: %q, to: shop}]\nupstreams:\n  shop: {url: %q, upgrade: [spdy/3.1]}\n", address, s.URL))
	for _, row := range []struct {
		protocol string
		want     int
	}{{"websocket", 101}, {"SPDY/3.1", 101}, {"h2c", 200}} {
		c := dialed(t, address)
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", row.protocol)
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || response.StatusCode != row.want {
			t.Errorf("%s: %v %v, the upstream saw %q", row.protocol, response, err, *asked.Load())
		}
	}
}
