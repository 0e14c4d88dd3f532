package layer7

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

func TestH1_RefusesInWordsAndBothersNoUpstream(t *testing.T) {
	up := webserver(t, func(w http.ResponseWriter, r *http.Request) { t.Errorf("upstream got %s %s", r.Method, r.URL) })
	_, addr := engine(t, poolOf(up), func(c *H1Config) { c.Body = 100 })
	for _, c := range []struct{ name, raw, status, word string }{
		{"smuggling", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 Bad Request", "client_bad_request"},
		{"encoding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501 Not Implemented", "client_not_implemented"},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "501 Not Implemented", "client_not_implemented"},
		{"version", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported", "client_bad_version"},
		{"HTTP/2 without the other engine", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 HTTP Version Not Supported", "client_bad_version"},
		{"expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", "417 Expectation Failed", "client_expectation"},
		{"long target", "GET /" + strings.Repeat("x", 70<<10), "414 Request URI Too Long", "client_target_too_long"},
		{"long target of a whole request", "GET /" + strings.Repeat("x", 70<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", "414 Request URI Too Long", "client_target_too_long"},
		{"long head", "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 70<<10), "431 Request Header Fields Too Large", "client_head_too_large"},
		{"many fields", "GET / HTTP/1.1\r\n" + strings.Repeat("X: 1\r\n", 200), "431 Request Header Fields Too Large", "client_head_too_large"},
		{"long body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", "413 Request Entity Too Large", "client_body_too_large"},
		{"bad chunk that came along", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n", "400 Bad Request", "client_bad_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := talk(t, addr, c.raw)
			if !strings.HasPrefix(got, "HTTP/1.1 "+c.status+"\r\n") || !strings.Contains(got, "\r\nX-Ambassador-Error: "+c.word+"\r\n") || !strings.Contains(got, "\r\nConnection: close\r\n") {
				t.Errorf("%q, want %s, %s", got, c.status, c.word)
			}
		})
	}
}

func TestH1_AFaultInAStreamedBodyIsTheClients(t *testing.T) {
	aborted := make(chan error, 1)
	up := upstream(t, func(c net.Conn, r *bufio.Reader) {
		head(r)
		_, err := io.Copy(io.Discard, r)
		aborted <- err
	})
	_, addr := engine(t, poolOf(up))
	c := dial(t, addr)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
	eventually(t, func() bool { return up.dialed() == 1 })
	io.WriteString(c, "zz\r\n")
	if got, _ := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.1 400 ") || !strings.Contains(string(got), "bad chunk size") {
		t.Errorf("%q", got)
	}
	<-aborted
	if o := up.last(); !o.Reason.Client() {
		t.Errorf("the upstream is blamed: %+v", o)
	}
}

// eventually polls for what happens in another goroutine.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never happened")
		}
	}
}

func TestH1_AClientThatLeavesAbortsTheUpstream(t *testing.T) {
	for name, raw := range map[string]string{
		"while it waits":            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"in the middle of the body": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\npart",
	} {
		t.Run(name, func(t *testing.T) {
			var ended atomic.Bool
			up := upstream(t, func(c net.Conn, r *bufio.Reader) {
				head(r)
				io.Copy(io.Discard, r)
				ended.Store(true)
			})
			_, addr := engine(t, poolOf(up))
			c := dial(t, addr)
			io.WriteString(c, raw)
			eventually(t, func() bool { return up.dialed() == 1 })
			c.Close()
			eventually(t, ended.Load)
			eventually(t, func() bool { return up.last().Reason == reason.ClientAborted })
		})
	}
}

func TestH1_TimersSayWhichOneFired(t *testing.T) {
	for _, c := range []struct {
		word   string
		change func(*Settings)
	}{
		{"upstream_timeout_headers", func(s *Settings) { s.Header = 50 * time.Millisecond }},
		{"request_timeout", func(s *Settings) { s.Total = 50 * time.Millisecond }},
	} {
		up := upstream(t, func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
		p := poolOf(up)
		c.change(&p.settings)
		_, addr := engine(t, p)
		got := talk(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n"+closing)
		if !strings.HasPrefix(got, "HTTP/1.1 504 Gateway Timeout\r\n") || !strings.Contains(got, "X-Ambassador-Error: "+c.word+"\r\n") {
			t.Errorf("%q, want %s", got, c.word)
		}
	}
}

func TestH1_AnIdleStreamIsCutOff(t *testing.T) {
	up := upstream(t, func(c net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
		io.Copy(io.Discard, r)
	})
	p := poolOf(up)
	p.settings.Idle = 50 * time.Millisecond
	_, addr := engine(t, p)
	c := dial(t, addr)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := io.ReadAll(c); err == nil {
		t.Error("a truncated answer ended without an error")
	}
	eventually(t, func() bool { return up.last().Reason == reason.UpstreamTimeoutIdle })
}

func TestH1_ASlowLorisIsAnswered408(t *testing.T) {
	_, addr := engine(t, poolOf(closed(t)), func(c *H1Config) { c.HeadTimeout = 100 * time.Millisecond })
	c := dial(t, addr)
	go func() {
		for _, b := range []byte("GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 1000)) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	got, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(got), "HTTP/1.1 408 ") {
		t.Errorf("%q", got)
	}
}

func TestH1_ASlowReaderHoldsTheUpstreamBack(t *testing.T) {
	var sent atomic.Int64
	up := upstream(t, func(c net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		b := make([]byte, 64<<10)
		for {
			n, err := c.Write(b)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	_, addr := engine(t, poolOf(up))
	c := dial(t, addr)
	c.(*net.TCPConn).SetReadBuffer(4 << 10)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	// The kernel's buffers fill up; then nothing moves any more.
	last, same := int64(-1), 0
	eventually(t, func() bool {
		time.Sleep(20 * time.Millisecond)
		if now := sent.Load(); now == last {
			same++
		} else {
			last, same = now, 0
		}
		return same > 10
	})
	if last > 64<<20 {
		t.Errorf("%d bytes were taken from the upstream for a client that reads none", last)
	}
}

func TestH1_CloseEndsEverythingAtOnceAndTellsThoseWhoWait(t *testing.T) {
	up := upstream(t, func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	e, addr := engine(t, poolOf(up))
	idle, busy := dial(t, addr), dial(t, addr)
	io.WriteString(busy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, func() bool { c, r := e.Busy(); return c == 2 && r == 1 })
	if e.LastActivity().IsZero() {
		t.Error("no activity with a request in flight")
	}
	e.Close()
	if b, err := io.ReadAll(idle); len(b) > 0 || err != nil {
		t.Errorf("idle: %q, %v", b, err)
	}
	if b, err := io.ReadAll(busy); !strings.HasPrefix(string(b), "HTTP/1.1 503 ") || !strings.Contains(string(b), "X-Ambassador-Error: stopped\r\n") || err != nil {
		t.Errorf("busy: %q, %v", b, err)
	}
	if c, r := e.Busy(); c != 0 || r != 0 {
		t.Errorf("%d connections and %d requests after Close", c, r)
	}
}

// lateEndpoint connects, and returns when the engine has been closed meanwhile.
type lateEndpoint struct {
	*address
	pool    *pool
	reached chan struct{}
	engine  atomic.Pointer[H1]
}

func (e *lateEndpoint) Match(*Request) Decision                        { return Decision{Upstream: e} }
func (e *lateEndpoint) Settings() *Settings                            { return &e.pool.settings }
func (e *lateEndpoint) Admit(context.Context) error                    { return nil }
func (e *lateEndpoint) Leave()                                         {}
func (e *lateEndpoint) AppendFields(dst []byte, _ *Request) []byte     { return dst }
func (e *lateEndpoint) Pick(context.Context, Pick) (Endpoint, error)   { return e, nil }
func (e *lateEndpoint) Retry(reason.Reason, int) (time.Duration, bool) { return 0, false }

func (e *lateEndpoint) Acquire(ctx context.Context, now time.Time, fresh bool) (*Conn, error) {
	c, err := e.address.Acquire(ctx, now, fresh)
	close(e.reached)
	for j := &e.engine.Load().janitor; ; runtime.Gosched() {
		j.mu.Lock()
		closed := j.closed
		j.mu.Unlock()
		if closed {
			return c, err
		}
	}
}

func TestH1_CloseEndsARequestThatGetsItsConnectionMeanwhile(t *testing.T) {
	up := upstream(t, func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	p := poolOf(up)
	late := &lateEndpoint{address: p.endpoints[0], pool: p, reached: make(chan struct{})}
	e, addr := engine(t, p, func(c *H1Config) { c.Route = late })
	late.engine.Store(e)
	c := dial(t, addr)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-late.reached
	e.Close()
	if b, err := io.ReadAll(c); !strings.Contains(string(b), "X-Ambassador-Error: stopped\r\n") || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestH1_RecordsEveryRequest(t *testing.T) {
	up := webserver(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	seen := make(records, 8)
	_, addr := engine(t, poolOf(up), func(c *H1Config) { c.Observer = seen })
	talk(t, addr, "POST /a?b HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\n\r\nabc"+"GET /x HTTP/1.1\r\nHost: c\r\nX : 1\r\n\r\n")
	for _, want := range []string{"POST a:1 /a?b 200 ok 3 5 1", "   400 client_bad_request 0 0 0"} {
		if got := <-seen; got != want {
			t.Errorf("recorded %q, want %q", got, want)
		}
	}
}

type records chan string

func (s records) Request(r *Record) {
	s <- fmt.Sprintf("%s %s %s %d %v %d %d %d", r.Method, r.Host, r.Target, r.Status, r.Reason, r.BytesIn, r.BytesOut, r.Tries)
}
