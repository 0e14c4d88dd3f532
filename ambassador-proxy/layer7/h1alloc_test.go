//go:build !race

// The race detector makes sync.Pool forget things at random.

package layer7

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// replying is an upstream without allocations of its own, so that those of the whole process are the proxy's.
func replying(t testing.TB, requestBytes int, answer string) *address {
	return upstream(t, func(c net.Conn, _ *bufio.Reader) {
		in, out := make([]byte, requestBytes), []byte(answer)
		for {
			if _, err := io.ReadFull(c, in); err != nil {
				return
			}
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	})
}

func TestH1_AllocatesNothingPerRequest(t *testing.T) {
	body := strings.Repeat("b", 4<<10)
	page := strings.Repeat("p", 100<<10)
	for _, c := range []struct{ name, request, answer string }{
		{"GET", "GET /path?q=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
		{"POST of 4 KiB", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n\r\n" + body, "HTTP/1.1 204 No Content\r\n\r\n"},
		{"chunked", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"answer of 100 KiB", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 102400\r\n\r\n" + page},
		{"PUT of 40 KiB, streamed and kept for a retry", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 40960\r\n\r\n" + strings.Repeat(body, 10), "HTTP/1.1 204 No Content\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, addr := engine(t, poolOf(replying(t, len(c.request), c.answer)))
			n := exchangeAllocs(t, addr, c.request, len(c.answer))
			if n != 0 {
				t.Errorf("%v allocations a request", n)
			}
		})
	}
}

// crypto/tls allocates a reader for each record that it has to wait for: the upstream's for the request, ours for the answer.
func TestH1_AllocatesNothingOfItsOwnPerRequestOverTLS(t *testing.T) {
	up := overTLS(t, tls.VersionTLS13, func(c *tls.Conn, _ *bufio.Reader, _ *framing) {
		in, out := make([]byte, len(getA)), []byte(helloAll)
		for {
			if _, err := io.ReadFull(c, in); err != nil {
				return
			}
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	})
	_, addr := engine(t, poolOf(up))
	if n := exchangeAllocs(t, addr, getA, len(helloAll)); n > 2 {
		t.Errorf("%v allocations a request", n)
	}
}

func exchangeAllocs(t *testing.T, addr, request string, answerBytes int) float64 {
	c := dial(t, addr)
	in, out := make([]byte, answerBytes), []byte(request)
	return testing.AllocsPerRun(500, func() {
		if _, err := c.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, in); err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkH1 guards the cost of a proxied request over loopback; it is that of the system calls.
func BenchmarkH1(b *testing.B) {
	const request, answer = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	_, addr := engine(b, poolOf(replying(b, len(request), answer)))
	c := dial(b, addr)
	in := make([]byte, len(answer))
	b.ReportAllocs()
	for b.Loop() {
		fmt.Fprint(c, request)
		if _, err := io.ReadFull(c, in); err != nil {
			b.Fatal(err)
		}
	}
}
