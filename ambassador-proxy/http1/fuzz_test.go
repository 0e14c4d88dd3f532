package http1_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
)

// FuzzRequest forwards what is accepted and parses it again, by this parser and by net/http's: both must see the message
// that was accepted, to the last byte.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST http://b/x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET",
		"PUT * HTTP/1.1\r\nhost:a:1\r\nTransfer-Encoding: chunked\r\nConnection: x, te\r\nX: 1\r\nTE: trailers\r\n\r\n3;a=b\r\nabc\r\n0\r\nY: 1\r\n\r\n",
		"\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nExpect: 100-continue\r\nx_key: 1\r\n\r\n",
	} {
		f.Add([]byte(s), "", false)
		f.Add([]byte(s), "b.example", true)
	}
	f.Fuzz(func(t *testing.T, src []byte, host string, upgrade bool) {
		if strings.Trim(host, "abcdefghijklmnopqrstuvwxyz.") != "" {
			return
		}
		var h http1.Head
		h.Reset()
		if h.Request(src, false) != http1.OK {
			return
		}
		forward := http1.Forward{Host: host, Drop: []string{"x-key"}, Upgrade: upgrade}
		out := append(h.AppendRequest(nil, forward), "\r\n"...)
		body, whole := followed(h.Body, src[h.Size:])
		out = append(out, body...)

		var again http1.Head
		again.Reset()
		if r := again.Request(out, false); r != http1.OK {
			t.Fatalf("forwarded %q is refused: %v", out, r)
		}
		second, wholeAgain := followed(again.Body, out[again.Size:])
		wantHost := string(h.Host())
		if host != "" {
			wantHost = host
		}
		if string(again.Method()) != string(h.Method()) || string(again.Host()) != wantHost ||
			again.Body.Kind != h.Body.Kind || !bytes.Equal(second, body) || whole != wholeAgain || again.Get("x-key") != nil {
			t.Fatalf("two views:\n%q\n%q", src, out)
		}
		if whole {
			compareRequest(t, &again, out, body)
		}
	})
}

// followed returns the bytes of the body at the start of p, and whether its end is among them.
func followed(b http1.Body, p []byte) ([]byte, bool) {
	n, done, r := b.Next(p)
	return p[:n], done && r == http1.OK
}

// compareRequest compares our view of a whole message with that of net/http, where that accepts it.
func compareRequest(t *testing.T, h *http1.Head, raw, body []byte) {
	t.Helper()
	br := bufio.NewReader(bytes.NewReader(raw))
	req, err := http.ReadRequest(br)
	if err != nil {
		return
	}
	content, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	if string(h.Method()) != req.Method || string(h.Target()) != req.RequestURI || string(h.Host()) != req.Host {
		t.Fatalf("net/http sees %s %s at %s in %q", req.Method, req.RequestURI, req.Host, raw)
	}
	rest, _ := io.ReadAll(br)
	if len(rest) != 0 {
		t.Fatalf("net/http leaves %q of %q", rest, raw)
	}
	if h.Body.Kind == http1.Length && !bytes.Equal(content, body) {
		t.Fatalf("net/http reads %q of %q", content, raw)
	}
}

// FuzzResponse does for answers what FuzzRequest does for requests.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.0 404\r\nX: 1\r\n\r\nall",
		"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\nConnection: y\r\nY: 1\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n\r\nHTTP",
		"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, src []byte, head bool) {
		var h http1.Head
		h.Reset()
		if h.Response(src, head) != http1.OK {
			return
		}
		out := append(h.AppendResponse(nil, false), "\r\n"...)
		body, whole := followed(h.Body, src[h.Size:])
		out = append(out, body...)
		var again http1.Head
		again.Reset()
		if r := again.Response(out, head); r != http1.OK {
			t.Fatalf("forwarded %q is refused: %v", out, r)
		}
		second, _ := followed(again.Body, out[again.Size:])
		if again.Status != h.Status || !bytes.Equal(again.Phrase(), h.Phrase()) || again.Body.Kind != h.Body.Kind || !bytes.Equal(second, body) {
			t.Fatalf("two views:\n%q\n%q", src, out)
		}
		if whole && h.Status >= 200 {
			compareResponse(t, &again, out, body, head)
		}
	})
}

func compareResponse(t *testing.T, h *http1.Head, raw, body []byte, head bool) {
	t.Helper()
	method := "GET"
	if head {
		method = "HEAD"
	}
	br := bufio.NewReader(bytes.NewReader(raw))
	res, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		return
	}
	content, err := io.ReadAll(res.Body)
	if err != nil {
		return
	}
	if rest, _ := io.ReadAll(br); res.StatusCode != h.Status || len(rest) != 0 {
		t.Fatalf("net/http sees %d and leaves %q of %q", res.StatusCode, rest, raw)
	}
	if h.Body.Kind == http1.Length && !bytes.Equal(content, body) {
		t.Fatalf("net/http reads %q of %q", content, raw)
	}
}

// FuzzChunked compares the end of a chunked body with where net/http's decoder finds it, and that with any split.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"3\r\nabc\r\n0\r\n\r\n", "a;b=\"c\"\r\n0123456789\r\n0\r\nX: 1\r\n\r\nrest", "0\r\n\r\n", "00f\r\n", "1\r\nx\r\n",
	} {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, src []byte, step uint8) {
		b := http1.Body{Kind: http1.Chunked}
		n, done, r := b.Next(src)
		split := http1.Body{Kind: http1.Chunked}
		total, ended := 0, false
		for total < len(src) && !ended {
			p := src[total:min(len(src), total+int(step)+1)]
			k, d, sr := split.Next(p)
			total, ended = total+k, d
			if sr != http1.OK {
				if sr != r {
					t.Fatalf("%q: %v at once, %v in pieces", src, r, sr)
				}
				break
			}
		}
		if total != n || ended != done {
			t.Fatalf("%q: %d %v at once, %d %v in pieces", src, n, done, total, ended)
		}
		if !done {
			return
		}
		raw := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + string(src[:n])
		br := bufio.NewReader(strings.NewReader(raw))
		req, err := http.ReadRequest(br)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(req.Body); err != nil {
			if strings.Contains(err.Error(), "trailer") || strings.Contains(err.Error(), "malformed MIME") ||
				strings.Contains(err.Error(), "too much") || strings.Contains(err.Error(), "too large") {
				return // net/http is stricter about trailers and overhead
			}
			t.Fatalf("net/http on %q: %v", src[:n], err)
		}
		if rest, _ := io.ReadAll(br); len(rest) != 0 {
			t.Fatalf("net/http ends %d bytes sooner in %q", len(rest), src[:n])
		}
	})
}

func TestCodec_AllocatesNothing(t *testing.T) {
	request := []byte("GET /path?q=1 HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: x\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n")
	response := []byte("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5\r\n\r\n")
	chunks := []byte("400\r\n" + strings.Repeat("x", 1024) + "\r\n0\r\n\r\n")
	var h http1.Head
	var out []byte
	n := testing.AllocsPerRun(1000, func() {
		h.Reset()
		h.Request(request, false)
		h.Idempotent()
		h.PathQuery()
		out = h.AppendRequest(out[:0], http1.Forward{Host: "api.example.com", Drop: []string{"authorization"}})
		h.Reset()
		h.Response(response, false)
		out = h.AppendResponse(out[:0], false)
		if _, done, r := h.Body.Next(chunks); !done || r != http1.OK {
			t.Fatal(strconv.Itoa(int(r)))
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

// BenchmarkRequest guards the cost of parsing and rendering a usual request head: no allocation, well below a
// microsecond, which is what one system call costs.
func BenchmarkRequest(b *testing.B) {
	src := []byte("GET /path/to/thing?q=1 HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nX-Request-Id: 0123456789abcdef\r\n\r\n")
	var h http1.Head
	var out []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		h.Reset()
		if h.Request(src, false) != http1.OK {
			b.Fatal("refused")
		}
		out = h.AppendRequest(out[:0], http1.Forward{Host: "api.example.com"})
	}
}
