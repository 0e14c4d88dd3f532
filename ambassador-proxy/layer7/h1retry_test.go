package layer7

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// closed is an address that refuses connections.
func closed(t *testing.T) *address {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	return at("tcp", ln.Addr().String())
}

const closing = "Connection: close\r\n\r\n"

func TestH1_SaysWhatFailedInWords(t *testing.T) {
	a := closed(t)
	p := poolOf(a)
	p.settings.Tries = 3
	_, addr := engine(t, p)
	body := "502 upstream api (" + a.addr + "): connection refused, 3 tries\n"
	want := fmt.Sprintf("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nX-Ambassador-Error: connect_refused\r\nConnection: close\r\n\r\n", len(body))
	if got := talk(t, addr, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"); got != want+body {
		t.Errorf("got %q, want %q", got, want+body)
	}
	if got := talk(t, addr, "HEAD / HTTP/1.1\r\nHost: a\r\n"+closing); got != want {
		t.Errorf("HEAD got %q, want %q", got, want)
	}
}

func TestH1_TriesAnotherEndpointWhenOneRefuses(t *testing.T) {
	up := webserver(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	_, addr := engine(t, poolOf(closed(t), up))
	for range 4 {
		got := talk(t, addr, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "hello") {
			t.Fatalf("%q", got)
		}
	}
}

func TestH1_NoRetryWithoutBudget(t *testing.T) {
	p := poolOf(closed(t))
	p.settings.Tries, p.budget = 5, 1
	_, addr := engine(t, p)
	if got := talk(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n"+closing); !strings.HasSuffix(got, "connection refused, 2 tries\n") {
		t.Errorf("%q", got)
	}
}

// resets is an upstream that closes the first connections once it has read the request, and then answers with the body.
func resets(t *testing.T, times int32) (*address, *atomic.Int32) {
	var seen atomic.Int32
	return upstream(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			body, err := io.ReadAll(req.Body)
			if err != nil || seen.Add(1) <= times {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	}), &seen
}

func TestH1_RetriesOnlyWhatIsSafeAfterAReset(t *testing.T) {
	big := strings.Repeat("x", 60<<10)
	huge := strings.Repeat("x", 70<<10)
	for _, c := range []struct {
		name, method, field, body string
		status                    string
		seen                      int32
	}{
		{"GET", "GET", "", "", "200", 2},
		{"PUT with a body", "PUT", "", "hello", "200", 2},
		{"PUT of 60 KiB", "PUT", "", big, "200", 2},
		{"PUT of 70 KiB is not kept", "PUT", "", huge, "502", 1},
		{"POST", "POST", "", "hello", "502", 1},
		{"POST with a key", "POST", "Idempotency-Key: 1\r\n", "hello", "200", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			up, seen := resets(t, 1)
			_, addr := engine(t, poolOf(up))
			got := talk(t, addr, fmt.Sprintf("%s / HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s", c.method, c.field, len(c.body), c.body))
			if !strings.HasPrefix(got, "HTTP/1.1 "+c.status) || seen.Load() != c.seen || c.status == "200" && !strings.HasSuffix(got, "\r\n\r\n"+c.body) {
				t.Errorf("%.100q after %d requests, want %s after %d", got, seen.Load(), c.status, c.seen)
			}
			if c.status == "502" && !strings.Contains(got, "X-Ambassador-Error: upstream_reset") {
				t.Errorf("%.200q", got)
			}
		})
	}
}

func TestH1_A503IsTriedElsewhereAndTheLastOneIsTheAnswer(t *testing.T) {
	var bad atomic.Int32
	busy := webserver(t, func(w http.ResponseWriter, r *http.Request) {
		bad.Add(1)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "busy", http.StatusServiceUnavailable)
	})
	good := webserver(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine") })
	_, addr := engine(t, poolOf(busy, good))
	if got := talk(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n"+closing); !strings.HasSuffix(got, "fine") {
		t.Errorf("%q", got)
	}
	if o := busy.last(); o.Status != 503 || o.Reason != reason.UpstreamUnavailable || !o.RetryAfter {
		t.Errorf("reported %+v", o)
	}
	_, addr = engine(t, poolOf(busy))
	bad.Store(0)
	if got := talk(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n"+closing); !strings.HasSuffix(got, "busy\n") || bad.Load() != 2 {
		t.Errorf("%q after %d", got, bad.Load())
	}
	bad.Store(0)
	if got := talk(t, addr, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"+closing); !strings.HasSuffix(got, "busy\n") || bad.Load() != 1 {
		t.Errorf("POST: %q after %d", got, bad.Load())
	}
}

func TestH1_AStaleIdleConnectionNeverSurfaces(t *testing.T) {
	// Each connection serves one request and is closed then, without a word.
	up := upstream(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.Copy(io.Discard, req.Body)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	p := poolOf(up)
	p.budget = 0 // not a retry that anybody should notice
	_, addr := engine(t, p)
	c := dial(t, addr)
	r := bufio.NewReader(c)
	for i := range 200 {
		method := []string{"GET", "POST", "PUT"}[i%3]
		fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", method)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(res.Body); string(b) != "ok" {
			t.Fatalf("%s %d: %d %q", method, i, res.StatusCode, b)
		}
		if method == "GET" {
			waitClosed(t, up) // POST may not be sent again: the FIN must have arrived to be seen
		}
	}
}

// waitClosed waits until the connection has come back to the pool and been closed by the other side.
func waitClosed(t *testing.T, a *address) {
	t.Helper()
	eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, c := range a.idle {
			if !c.link.dead(true) {
				return false
			}
		}
		return len(a.idle) > 0
	})
}

func TestH1_DeclinesInTheUpstreamsWords(t *testing.T) {
	up := webserver(t, func(w http.ResponseWriter, r *http.Request) {})
	p := poolOf(up)
	p.refuse = reason.QueueFull
	_, addr := engine(t, p)
	got := talk(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n"+closing)
	if n := strings.Count(got, "X-Ambassador-Error: queue_full\r\n"); n != 2 || !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("%d answers in %q, want both pipelined requests answered", n, got)
	}
}
