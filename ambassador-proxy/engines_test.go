package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// bothEngines starts an ambassador with a listener for each engine, in front of the same backend. An upstream with a fault
// goes through net/http; this one has it never. listener is put into each listener.
func bothEngines(t *testing.T, url, listener string) (addresses map[string]string, admin string) {
	t.Helper()
	fast, std := kittest.FreeAddress(t), kittest.FreeAddress(t)
	admin = configured(t, fmt.Sprintf(`
listeners:
  - {address: %q, to: fast%s}
  - {address: %q, to: std%s}
upstreams:
  fast: {url: %q}
  std: {url: %q, fault: {percent: 0}}
`, fast, listener, std, listener, url, url))
	return map[string]string{"HTTP/1.1 engine": fast, "net/http engine": std}, admin
}

// raw is a backend that answers each request with what script says for its path.
func raw(t *testing.T, script func(path string) string) string {
	return "http://" + kittest.Serve(t, func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, request.Body)
			if _, err := io.WriteString(c, script(request.URL.Path)); err != nil {
				return
			}
		}
	})
}

func TestBothEngines_RefuseTheSameMalformedRequests(t *testing.T) {
	var seen atomic.Int64
	s := server(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }), false, false)
	addresses, _ := bothEngines(t, s.URL, "")
	const good = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, row := range []struct{ name, send, status string }{
		{"length and encoding", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
		{"the same length twice", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "400"},
		{"encoding gzip, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
		{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", "400"},
		{"folded field", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", "400"},
		{"space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n", "400"},
		{"NUL", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", "400"},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", "400"},
		{"user information in Host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400"},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "505"},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "501"},
		{"a target of 70 KiB", "GET /" + strings.Repeat("a", 70<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", "4"},
		{"a head of 70 KiB", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 70<<10) + "\r\n\r\n", "431"},
		{"bad chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n", "400"},
		{"bare LF after chunk data", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n", "400"},
	} {
		for engine, address := range addresses {
			c := dialed(t, address)
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			go func() { _, _ = io.WriteString(c, good+row.send) }() // the second of a connection, which an engine keeps
			r := bufio.NewReader(c)
			if response, err := http.ReadResponse(r, nil); err != nil || response.StatusCode != 200 {
				t.Errorf("%s, %s: the good request before it: %v %v", engine, row.name, response, err)
				continue
			}
			response, err := http.ReadResponse(r, nil)
			if err != nil || !strings.HasPrefix(response.Status, row.status) || !strings.HasPrefix(response.Header.Get("X-Ambassador-Error"), "client_") || !response.Close {
				t.Errorf("%s, %s: %+v %v, want %s", engine, row.name, response, err, row.status)
			}
			c.Close()
		}
	}
}

func TestBothEngines_RelayInterimAnswersUpToACap(t *testing.T) {
	url := raw(t, func(path string) string {
		many := 1
		if path == "/flood" {
			many = 30
		}
		return strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", many) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	})
	addresses, _ := bothEngines(t, url, "")
	for engine, address := range addresses {
		c := dialed(t, address)
		r := bufio.NewReader(c)
		for _, want := range []int{103, 200} {
			if want == 103 {
				fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			}
			response, err := http.ReadResponse(r, nil)
			if err != nil || response.StatusCode != want || want == 103 && response.Header.Get("Link") != "</a>" || want == 200 && response.Header.Get("Link") != "" {
				t.Fatalf("%s: %v %v, want %d", engine, response, err, want)
			}
			_, _ = io.Copy(io.Discard, response.Body)
		}
		fmt.Fprint(c, "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
		last := 103
		for last == 103 {
			response, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("%s: %v", engine, err)
			}
			last = response.StatusCode
		}
		if last != 502 {
			t.Errorf("%s: after a flood of interim answers %d", engine, last)
		}
	}
}

func TestBothEngines_AnswerABadAnswerWith502(t *testing.T) {
	url := raw(t, func(path string) string {
		return map[string]string{
			"/101":    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			"/length": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
			"/status": "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
			"/other":  "SSH-2.0-OpenSSH_9.2\r\n",
		}[path]
	})
	addresses, _ := bothEngines(t, url, "")
	for engine, address := range addresses {
		for _, path := range []string{"/101", "/length", "/status", "/other"} {
			response, body := do(t, client(t, false), "POST", "http://"+address+path, "")
			if response.StatusCode != 502 || response.Header.Get("X-Ambassador-Error") != "upstream_bad_response" {
				t.Errorf("%s, %s: %d %s", engine, path, response.StatusCode, body)
			}
		}
	}
}

func TestBothEngines_InventAndLoseNothingInTheHeaders(t *testing.T) {
	got := make(chan http.Header, 1)
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		w.Header()["Date"], w.Header()["Content-Type"] = nil, nil
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("X-Kept", "1")
		_, _ = io.WriteString(w, "<html>")
	}), false, false)
	addresses, _ := bothEngines(t, s.URL, "")
	for engine, address := range addresses {
		c := dialed(t, address)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Gone, Host\r\nX-Gone: 1\r\nKeep-Alive: timeout=1\r\nProxy-Authorization: secret\r\nX-Forwarded-For: 10.0.0.1\r\nCookie: a=b\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		request := <-got
		if len(request) != 2 || request.Get("X-Forwarded-For") != "10.0.0.1" || request.Get("Cookie") != "a=b" {
			t.Errorf("%s: the upstream saw %v", engine, request)
		}
		if h := response.Header; len(h) != 2 || h.Get("X-Kept") != "1" || h.Get("Content-Length") != "6" {
			t.Errorf("%s: the app saw %v", engine, h)
		}
	}
}

func TestBothEngines_BlameABrokenBodyOnTheClient(t *testing.T) {
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }), false, false)
	addresses, admin := bothEngines(t, s.URL, ", max_body: 64KiB")
	const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for engine, address := range addresses {
		for _, row := range []struct{ rest, word string }{
			{"zz\r\n", "client_bad_request"},
			{"11000\r\n" + strings.Repeat("x", 0x11000) + "\r\n0\r\n\r\n", "client_body_too_large"},
		} {
			c := dialed(t, address)
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprint(c, chunked)
			fmt.Fprint(c, "1\r\nx\r\n")
			go fmt.Fprint(c, row.rest)
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || response.Header.Get("X-Ambassador-Error") != row.word {
				t.Errorf("%s: %+v %v, want %s", engine, response, err, row.word)
			}
		}
	}
	_, metrics := kittest.Get("http://" + admin + "/metrics")
	for _, blamed := range []string{"ejections_total", `result="upstream`} {
		if strings.Contains(metrics, blamed) {
			t.Errorf("an upstream is blamed: %s in\n%s", blamed, metrics)
		}
	}
}

func TestBothEngines_CutASlowloris(t *testing.T) {
	s := server(t, http.HandlerFunc(echo), false, false)
	addresses, _ := bothEngines(t, s.URL, ", head_timeout: 300ms")
	for engine, address := range addresses {
		for name, before := range map[string]string{"first": "", "second": "GET / HTTP/1.1\r\nHost: a\r\n\r\n"} {
			t.Run(engine+", "+name+" request", func(t *testing.T) {
				t.Parallel()
				c := dialed(t, address)
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				r := bufio.NewReader(c)
				if before != "" {
					fmt.Fprint(c, before)
					response, err := http.ReadResponse(r, nil)
					if err != nil {
						t.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, response.Body)
				}
				drip(t, c, r)
			})
		}
	}
}

// drip sends a head that never ends, line by line, until the connection does.
func drip(t *testing.T, c net.Conn, r io.Reader) {
	done := make(chan error, 1)
	var answer strings.Builder
	go func() { _, err := io.Copy(&answer, r); done <- err }()
	fmt.Fprint(c, "GET / HTTP/1.1\r\n")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case err := <-done:
			if !strings.HasPrefix(answer.String(), "HTTP/1.1 408 ") {
				t.Errorf("%v after %d lines: %.200q", err, i, answer.String())
			}
			return
		case <-tick.C:
			_, _ = fmt.Fprintf(c, "X-%d: a\r\n", i)
		}
	}
}

// endless answers for as long as somebody reads, and counts what was taken of it.
func endless(taken *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for b := make([]byte, 64<<10); ; {
			n, err := w.Write(b)
			taken.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
}

func TestBothEngines_HoldTheUpstreamBackForASlowReader(t *testing.T) {
	var taken atomic.Int64
	s := server(t, endless(&taken), false, false)
	addresses, _ := bothEngines(t, s.URL, "")
	for engine, address := range addresses {
		taken.Store(0)
		c := dialed(t, address)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		still := time.Now()
		last := int64(-1)
		kittest.Eventually(t, 20*time.Second, func() bool {
			if n := taken.Load(); n != last {
				last, still = n, time.Now()
			}
			return time.Since(still) > 500*time.Millisecond
		}, "the upstream to be held back")
		if last > 32<<20 { // what the sockets' buffers of a chain of four hold
			t.Errorf("%s: %d MiB for a client that reads 100 bytes", engine, last>>20)
		}
		c.Close()
	}
}
