package output

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// served answers each request on a connection of its own listener with script, and counts connections. The script gets the
// connection after the head of a request was read.
type served struct {
	net.Listener
	accepted chan net.Conn
}

func serve(t *testing.T, script func(conn net.Conn, in *bufio.Reader, r *http.Request) (again bool)) *served {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &served{Listener: l, accepted: make(chan net.Conn, 10)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted <- conn
			in := bufio.NewReader(conn)
			for again := true; again; {
				r, err := http.ReadRequest(in)
				if err != nil {
					break
				}
				again = script(conn, in, r)
			}
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		for len(s.accepted) > 0 {
			_ = (<-s.accepted).Close()
		}
		<-over
	})
	return s
}

func (s *served) client(t *testing.T, timeout time.Duration) *shipper {
	t.Helper()
	return open(t, Config{HTTP: &JSONConfig{HTTPConfig: HTTPConfig{URL: "http://" + s.Addr().String(), Timeout: conf.Duration(timeout)}}})
}

func reply(conn net.Conn, text string) { _, _ = io.WriteString(conn, text) }

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestDirect_UsesOneConnectionAsLongAsTheServerKeepsIt(t *testing.T) {
	requests := 0
	s := serve(t, func(conn net.Conn, _ *bufio.Reader, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		requests++
		switch requests {
		case 3: // said
			reply(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		case 5: // not said
			reply(conn, fine)
			_ = conn.Close()
			return false
		default:
			reply(conn, "HTTP/1.1 103 Early Hints\r\n\r\n"+fine)
		}
		return requests != 3
	})
	out := s.client(t, 5*time.Second)
	for i := range 7 {
		if i == 5 {
			waitForEnd(t, out.out.(*HTTP).http.direct.conn)
		}
		if err := out.send(t.Context(), []string{"x"}); err != nil {
			t.Fatalf("request %d: %v", i+1, err)
		}
	}
	if got := len(s.accepted); got != 3 {
		t.Errorf("%d connections for 7 requests, of which 2 ended theirs", got)
	}
}

// waitForEnd returns when the end of the connection has arrived.
func waitForEnd(t *testing.T, c *directConn) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !c.readable(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server's end of the connection never arrived")
		}
	}
}

func TestDirect_TakesNoAnswerForAnotherRequests(t *testing.T) {
	s := serve(t, func(conn net.Conn, _ *bufio.Reader, r *http.Request) bool {
		if _, err := io.Copy(io.Discard, r.Body); err == nil && r.ContentLength > 1 {
			reply(conn, fine+fine) // one too many
			return false
		}
		reply(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
		return false
	})
	out := s.client(t, 5*time.Second)
	if err := out.out.Send(t.Context(), &Batch{Body: []byte("first"), Records: 1}); err != nil {
		t.Fatal(err)
	}
	if retry, ok := errors.AsType[*Retryable](out.out.Send(t.Context(), &Batch{Body: []byte("2"), Records: 1})); !ok || retry.Reason != "5xx" {
		t.Errorf("the second request was answered with what the first had left: %v", retry)
	}
}

func TestDirect_TakesAnAnswerThatComesBeforeAllIsRead(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(conn net.Conn, _ *bufio.Reader, _ *http.Request) bool {
		reply(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
		<-release // neither reads nor closes
		return false
	})
	defer close(release)
	out := s.client(t, 20*time.Second)
	err := out.out.Send(t.Context(), &Batch{Body: make([]byte, 64<<20), Records: 1})
	if _, ok := errors.AsType[*TooLarge](err); !ok {
		t.Errorf("%v", err)
	}
}

func TestDirect_GoesOnWritingToAServerThatTookAWhile(t *testing.T) {
	s := serve(t, func(conn net.Conn, _ *bufio.Reader, r *http.Request) bool {
		<-time.After(3 * lookUp)
		_, _ = io.Copy(io.Discard, r.Body)
		reply(conn, fine)
		return true
	})
	out := s.client(t, 20*time.Second)
	for _, size := range []int{64 << 20, 10, 64 << 20} {
		if err := out.out.Send(t.Context(), &Batch{Body: make([]byte, size), Records: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.accepted); got != 1 {
		t.Errorf("%d connections", got)
	}
}

func TestDirect_EndsWithItsContextWhereverItWaits(t *testing.T) {
	for name, body := range map[string]int{"for the answer": 10, "for the server to read": 64 << 20} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			s := serve(t, func(net.Conn, *bufio.Reader, *http.Request) bool { <-release; return false })
			defer close(release)
			out := s.client(t, 30*time.Second)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-waitAccepted(s); cancel() }()
			if err := out.out.Send(ctx, &Batch{Body: make([]byte, body), Records: 1}); err == nil || !strings.Contains(err.Error(), "context canceled") {
				t.Errorf("%v", err)
			}
			short := s.client(t, 50*time.Millisecond)
			if retry, ok := errors.AsType[*Retryable](short.out.Send(t.Context(), &Batch{Body: make([]byte, body), Records: 1})); !ok || retry.Reason != "timeout" {
				t.Errorf("%v", retry)
			}
		})
	}
}

func waitAccepted(s *served) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		conn := <-s.accepted
		s.accepted <- conn
		close(done)
	}()
	return done
}

func TestDirect_WhatIsNoAnswerIsTriedAgain(t *testing.T) {
	for _, text := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\n"} {
		s := serve(t, func(conn net.Conn, _ *bufio.Reader, r *http.Request) bool {
			_, _ = io.Copy(io.Discard, r.Body)
			reply(conn, text)
			_ = conn.Close()
			return false
		})
		out := s.client(t, 5*time.Second)
		if retry, ok := errors.AsType[*Retryable](out.send(t.Context(), []string{"x"})); !ok || retry.Reason != "network" {
			t.Errorf("%q: %v", text, retry)
		}
	}
}

func TestDirect_SendsTheHeadersThatNetHTTPSends(t *testing.T) {
	var heads []string
	s := serve(t, func(conn net.Conn, _ *bufio.Reader, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		heads = append(heads, fmt.Sprint(r.Method, r.RequestURI, r.Host, r.ContentLength, r.TransferEncoding, r.Header))
		reply(conn, fine)
		return true
	})
	out := s.client(t, 5*time.Second)
	client := out.out.(*HTTP).http
	for _, d := range []*direct{client.direct, nil} {
		client.direct.close()
		client.direct = d
		if err := out.send(t.Context(), []string{"x"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(heads) != 2 || heads[1] != heads[0] {
		t.Errorf("%q", heads)
	}
}
