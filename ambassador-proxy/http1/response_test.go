package http1_test

import (
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
)

func TestResponse_IsForwardedByteForByteOrRefused(t *testing.T) {
	for _, c := range []struct {
		name, raw, want string
		head            bool
		refusal         http1.Refusal
		kind            http1.Kind
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", same, false, 0, http1.Length},
		{"length zero", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", same, false, 0, http1.None},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", same, false, 0, http1.Chunked},
		{"until the end", "HTTP/1.1 200 OK\r\nX: 1\r\n\r\n", same, false, 0, http1.UntilClose},
		{"until the end in 1.0", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", false, 0, http1.UntilClose},
		{"answer to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", same, true, 0, http1.None},
		{"chunked answer to HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", same, true, 0, http1.None},
		{"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", same, false, 0, http1.None},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", same, false, 0, http1.None},
		{"204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", false, 0, http1.None},
		{"103 with an encoding", "HTTP/1.1 103 Early Hints\r\nLink: x\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", false, 0, http1.None},
		{"own phrase", "HTTP/1.1 200 \xc3\xa9t\xc3\xa9 (quite) fine\r\nContent-Length: 0\r\n\r\n", same, false, 0, http1.None},
		{"empty phrase", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", same, false, 0, http1.None},
		{"no phrase and no space", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", false, 0, http1.None},
		{"several Set-Cookie", "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n", same, false, 0, http1.None},
		{"hop by hop", "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-A\r\nKeep-Alive: timeout=5\r\nx-a: 1\r\nUpgrade: h2c\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n", false, 0, http1.None},
		{"Connection cannot remove the length", "HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", false, 0, http1.Length},
		{"length and encoding", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "", false, http1.LengthAndEncoding, 0},
		{"length twice", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", "", false, http1.DuplicateContentLength, 0},
		{"length list", "HTTP/1.1 200 OK\r\nContent-Length: 3,3\r\n\r\n", "", false, http1.BadContentLength, 0},
		{"encoding gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "", false, http1.UnknownEncoding, 0},
		{"encoding in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", false, http1.EncodingIn10, 0},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "", false, http1.BareLF, 0},
		{"folded", "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n", "", false, http1.FoldedField, 0},
		{"status 99", "HTTP/1.1 099 No\r\n\r\n", "", false, http1.BadStatus, 0},
		{"status 600", "HTTP/1.1 600 No\r\n\r\n", "", false, http1.BadStatus, 0},
		{"status of two digits", "HTTP/1.1 20 OK\r\n\r\n", "", false, http1.BadStatusLine, 0},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", "", false, http1.BadStatusLine, 0},
		{"status +20", "HTTP/1.1 +20 OK\r\n\r\n", "", false, http1.BadStatusLine, 0},
		{"control character in the phrase", "HTTP/1.1 200 O\x00K\r\n\r\n", "", false, http1.BadStatusLine, 0},
		{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", "", false, http1.UnknownVersion, 0},
		{"ICY", "ICY 200 OK\r\nX-Long: 1\r\n\r\n", "", false, http1.BadStatusLine, 0},
		{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", "", false, http1.BadStatusLine, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h http1.Head
			h.Reset()
			r := h.Response([]byte(c.raw), c.head)
			got := ""
			if r == http1.OK {
				got = string(h.AppendResponse(nil, false)) + "\r\n"
			}
			if c.want == same {
				c.want = c.raw
			}
			if r != c.refusal || got != c.want || r == http1.OK && h.Body.Kind != c.kind {
				t.Errorf("%q\n forwarded %q (%v, %d)\n want      %q (%v, %d)", c.raw, got, r, h.Body.Kind, c.want, c.refusal, c.kind)
			}
		})
	}
}

func TestResponse_SwitchingProtocolsKeepsTheUpgrade(t *testing.T) {
	raw := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
	var h http1.Head
	h.Reset()
	if r := h.Response([]byte(raw), false); r != http1.OK || string(h.Upgrade()) != "WebSocket" {
		t.Fatalf("%v, upgrade %q", r, h.Upgrade())
	}
	want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\nConnection: upgrade\r\n"
	if got := string(h.AppendResponse(nil, true)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestResponse_ReadsHowLongTheUpstreamKeepsIdleConnections(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"timeout=5": 5 * time.Second, "max=100, timeout=72": 72 * time.Second, "timeout=5, max=1": 5 * time.Second,
		"timeout=x": 0, "max=3": 0, "timeout": 0, "timeout=99999999999": 0,
	} {
		var h http1.Head
		h.Reset()
		h.Response([]byte("HTTP/1.1 200 OK\r\nKeep-Alive: "+value+"\r\nContent-Length: 0\r\n\r\n"), false)
		if h.Timeout != want {
			t.Errorf("%q: %v, want %v", value, h.Timeout, want)
		}
	}
}
