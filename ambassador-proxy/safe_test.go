package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// framing is an HTTP/2 backend made of frames: what it does with its first request is up to first, later ones get 200.
func framing(t *testing.T, first func(f *http2.Framer, stream uint32) (more bool)) (host string, requests *atomic.Int64) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	requests = &atomic.Int64{}
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	serve := func(c net.Conn) {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := http2.NewFramer(c, c)
		_ = f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if !frame.IsAck() {
					_ = f.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				if requests.Add(1) == 1 {
					if !first(f, frame.StreamID) {
						_, _ = io.Copy(io.Discard, c)
						return
					}
					continue
				}
				var head bytes.Buffer
				_ = hpack.NewEncoder(&head).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: frame.StreamID, BlockFragment: head.Bytes(), EndHeaders: true, EndStream: true})
			}
		}
	}
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { serve(c) })
		}
	})
	return l.Addr().String(), requests
}

func TestRetry_AStreamThatWasRefusedIsSentAgainWhateverItsMethod(t *testing.T) {
	for _, row := range []struct {
		name  string
		first func(f *http2.Framer, stream uint32) bool
		post  int // status of a POST
	}{
		{"REFUSED_STREAM", func(f *http2.Framer, id uint32) bool { return f.WriteRSTStream(id, http2.ErrCodeRefusedStream) == nil }, 200},
		{"GOAWAY below it", func(f *http2.Framer, _ uint32) bool { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil); return false }, 200},
		{"INTERNAL_ERROR", func(f *http2.Framer, id uint32) bool { return f.WriteRSTStream(id, http2.ErrCodeInternal) == nil }, 502},
	} {
		for method, want := range map[string]int{"POST": row.post, "GET": 200} {
			host, requests := framing(t, row.first)
			address, _, _ := proxied(t, "h2c://"+host)
			response, body := do(t, client(t, false), method, "http://"+address+"/", "")
			if n := requests.Load(); response.StatusCode != want || (n == 2) != (want == 200) {
				t.Errorf("%s, %s: %d %s after %d requests", row.name, method, response.StatusCode, body, n)
			}
		}
	}
}

func TestRetry_UnavailableOfGRPCIsRepeatedWithAnIdempotencyKeyOnly(t *testing.T) {
	var calls atomic.Int64
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		status := "0"
		if calls.Add(1) == 1 {
			status = "14"
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", status)
	}), false, true)
	address, _, _ := proxied(t, "grpc://"+strings.TrimPrefix(s.URL, "http://"))
	for key, want := range map[string]string{"": "14", "7": "0"} {
		calls.Store(0)
		r, _ := http.NewRequest("POST", "http://"+address+"/s/m", strings.NewReader("\x00\x00\x00\x00\x00"))
		r.Header.Set("Content-Type", "application/grpc")
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		response, err := client(t, true).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Grpc-Status"); got != want {
			t.Errorf("key %q: grpc-status %s after %d calls", key, got, calls.Load())
		}
	}
}

func TestRetry_RetryAfterOfTheOnlyEndpointIsHonoured(t *testing.T) {
	var calls atomic.Int64
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(503)
		}
	})
	_, three := backends(t, h)
	one, _, _ := strings.Cut(three, ",")
	for hosts, want := range map[string]int{one: 503, three: 200} {
		addresses, _ := bothEngines(t, "http://"+hosts, "")
		for engine, address := range addresses {
			calls.Store(0)
			response, _ := do(t, client(t, false), "GET", "http://"+address+"/", "")
			if response.StatusCode != want || want == 503 && calls.Load() != 1 {
				t.Errorf("%s, %s: %d after %d requests", engine, hosts, response.StatusCode, calls.Load())
			}
		}
	}
}

func TestRetry_AfterAResetOfAReusedConnectionIsCounted(t *testing.T) {
	server := kittest.Serve(t, func(c net.Conn) { // each connection answers one request and ends with the next, unanswered
		r := bufio.NewReader(c)
		for i := 0; i < 2; i++ {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			if i == 0 {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
	addresses, admin := bothEngines(t, "http://"+server, "")
	for engine, address := range addresses {
		c := client(t, false)
		for range 4 {
			if response, body := do(t, c, "GET", "http://"+address+"/", ""); response.StatusCode != 200 {
				t.Fatalf("%s: %d %s", engine, response.StatusCode, body)
			}
		}
		up := map[string]string{"HTTP/1.1 engine": "fast", "net/http engine": "std"}[engine]
		for _, want := range []string{ // a request is counted when its answer has left
			fmt.Sprintf(`ambassador_retries_total{reason="upstream_reset",upstream=%q} 3`, up),
			fmt.Sprintf(`ambassador_upstream_attempts_total{result="upstream_reset",upstream=%q} 3`, up),
			fmt.Sprintf(`ambassador_upstream_attempts_total{result="ok",upstream=%q} 4`, up),
		} {
			kittest.Eventually(t, 5*time.Second, func() bool {
				_, metrics := kittest.Get("http://" + admin + "/metrics")
				return strings.Contains(metrics, want+"\n")
			}, engine+": "+want)
		}
	}
}

func TestRetry_WithoutBudgetIsSaidOnBothEnginesWithTheCause(t *testing.T) {
	dead := kittest.FreeAddress(t)
	addresses, admin := bothEngines(t, "http://"+dead, "")
	for engine, address := range addresses {
		c := client(t, false)
		word, body := "", ""
		for range 30 { // the floor of three a second is soon used up
			var response *http.Response
			response, body = do(t, c, "GET", "http://"+address+"/", "")
			if word = response.Header.Get("X-Ambassador-Error"); word == "retry_budget_exhausted" {
				break
			}
			if response.StatusCode != 502 || word != "connect_refused" {
				t.Fatalf("%s: %d %s", engine, response.StatusCode, body)
			}
		}
		if word != "retry_budget_exhausted" || !strings.Contains(body, "("+dead+"): retry budget exhausted: connection refused") {
			t.Errorf("%s: %s, %s", engine, word, body)
		}
	}
	if _, metrics := kittest.Get("http://" + admin + "/metrics"); !strings.Contains(metrics, `reason="retry_budget_exhausted"`) {
		t.Error("it is not in the metrics")
	}
}

func TestStreams_AnotherConnectionIsOpenedWhenTheyRunOut(t *testing.T) {
	var now, conns atomic.Int64
	release := make(chan struct{})
	s := &http.Server{Protocols: &http.Protocols{}, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 2},
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		},
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			now.Add(1)
			<-release
		})}
	s.Protocols.SetUnencryptedHTTP2(true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	address, _, _ := proxied(t, "h2c://"+l.Addr().String())
	const calls = 7
	var all sync.WaitGroup
	var failed atomic.Int64
	c := client(t, true)
	for range calls {
		all.Go(func() {
			response, err := c.Post("http://"+address+"/", "text/plain", nil)
			if err != nil || response.StatusCode != 200 {
				failed.Add(1)
			}
			if err == nil {
				response.Body.Close()
			}
		})
	}
	kittest.Eventually(t, 10*time.Second, func() bool { return now.Load() == calls }, "all calls to be under way at once")
	close(release)
	all.Wait()
	if n := conns.Load(); failed.Load() > 0 || n < (calls+1)/2 {
		t.Errorf("%d failed, over %d connections of 2 streams", failed.Load(), n)
	}
}
