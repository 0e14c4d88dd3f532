package http1_test

import (
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// forwardRequest parses a whole request and renders what goes on: head, blank line, body.
func forwardRequest(raw string, f http1.Forward, deny ...string) (string, http1.Refusal) {
	var h http1.Head
	h.Reset()
	src := []byte(raw)
	if r := h.Request(src, false); r != http1.OK {
		return "", r
	}
	out := append(h.AppendRequest(nil, f), "\r\n"...)
	h.Body.Deny = deny
	n, done, r := h.Body.Next(src[h.Size:])
	if r != http1.OK {
		return "", r
	}
	if !done {
		return "", http1.More
	}
	return string(append(out, src[h.Size:h.Size+n]...)), http1.OK
}

const same = "=" // the message is forwarded byte for byte

func TestRequest_IsForwardedByteForByteOrRefused(t *testing.T) {
	get := "GET / HTTP/1.1\r\nHost: a\r\n"
	post := "POST / HTTP/1.1\r\nHost: a\r\n"
	for _, c := range []struct {
		name, raw, want string
		refusal         http1.Refusal
	}{
		// Framing.
		{"no body", get + "\r\n", same, 0},
		{"content length", post + "Content-Length: 3\r\n\r\nabc", same, 0},
		{"content length zero", post + "Content-Length: 0\r\n\r\n", same, 0},
		{"content length with leading zeros", post + "Content-Length: 003\r\n\r\nabc", same, 0},
		{"content length with space around", post + "Content-Length: \t3 \r\n\r\nabc", same, 0},
		{"GET with a body", get + "Content-Length: 1\r\n\r\nx", same, 0},
		{"length and encoding", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", http1.LengthAndEncoding},
		{"encoding and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "", http1.LengthAndEncoding},
		{"same length twice", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "", http1.DuplicateContentLength},
		{"two lengths", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "", http1.DuplicateContentLength},
		{"length list", post + "Content-Length: 3, 3\r\n\r\nabc", "", http1.BadContentLength},
		{"length +2", post + "Content-Length: +2\r\n\r\nab", "", http1.BadContentLength},
		{"length -1", post + "Content-Length: -1\r\n\r\n", "", http1.BadContentLength},
		{"length 0x2", post + "Content-Length: 0x2\r\n\r\nab", "", http1.BadContentLength},
		{"length 1_0", post + "Content-Length: 1_0\r\n\r\n0123456789", "", http1.BadContentLength},
		{"length 1 0", post + "Content-Length: 1 0\r\n\r\n0123456789", "", http1.BadContentLength},
		{"length overflows", post + "Content-Length: 18446744073709551617\r\n\r\na", "", http1.BadContentLength},
		{"length empty", post + "Content-Length:\r\n\r\n", "", http1.BadContentLength},
		{"length quoted", post + "Content-Length: \"3\"\r\n\r\nabc", "", http1.BadContentLength},
		{"encoding identity", post + "Transfer-Encoding: identity\r\n\r\n", "", http1.UnknownEncoding},
		{"encoding gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "", http1.UnknownEncoding},
		{"encoding chunked, chunked", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "", http1.UnknownEncoding},
		{"encoding xchunked", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "", http1.UnknownEncoding},
		{"encoding chunked;q=1", post + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", "", http1.UnknownEncoding},
		{"encoding empty", post + "Transfer-Encoding:\r\n\r\n", "", http1.UnknownEncoding},
		{"encoding with a vertical tab", post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "", http1.BadFieldValue},
		{"encoding CHUNKED", post + "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", same, 0},
		{"encoding twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", http1.DuplicateEncoding},
		{"encoding then identity", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "", http1.DuplicateEncoding},
		{"encoding in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", http1.EncodingIn10},
		{"space before the colon of the encoding", post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "", http1.SpaceBeforeColon},
		{"folded encoding", post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "", http1.UnknownEncoding},
		// Lines.
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x00\x0a", "", http1.Encrypted},
		{"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", "", http1.BareLF},
		{"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", "", http1.BareLF},
		{"bare LF as the blank line", get + "\n", "", http1.BareLF},
		{"bare CR in a value", get + "X: a\rb\r\n\r\n", "", http1.BadFieldValue},
		{"bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadTarget},
		{"CR CR LF", get + "X: a\r\r\n\r\n", "", http1.BadFieldValue},
		{"NUL in a value", get + "X: a\x00b\r\n\r\n", "", http1.BadFieldValue},
		{"NUL in a name", get + "X\x00: a\r\n\r\n", "", http1.BadFieldName},
		{"DEL in a value", get + "X: aaaaaaaaaaaa\x7fb\r\n\r\n", "", http1.BadFieldValue},
		{"folded field", get + "X: a\r\n b\r\n\r\n", "", http1.FoldedField},
		{"tab-folded field", get + "X: a\r\n\tb\r\n\r\n", "", http1.FoldedField},
		{"space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "", http1.FoldedField},
		{"space before the request line", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadRequestLine},
		{"tabs in the request line", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadRequestLine},
		{"double space before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadTarget},
		{"double space after the target", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadTarget},
		{"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadTarget},
		{"space at the end of the line", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "", http1.BadVersion},
		{"lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", "", http1.BadVersion},
		{"HTTP/0.9", "GET /\r\n\r\n", "", http1.BadRequestLine},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "", http1.UnknownVersion},
		{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "", http1.UnknownVersion},
		{"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", "", http1.BadVersion},
		{"HTTP/1.+1", "GET / HTTP/1.+\r\nHost: a\r\n\r\n", "", http1.BadVersion},
		{"empty line before", "\r\n" + get + "\r\n", get + "\r\n", 0},
		{"two empty lines before", "\r\n\r\n" + get + "\r\n", "", http1.BadRequestLine},
		{"bad method", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadRequestLine},
		{"lower-case method is another method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", same, 0},
		{"high byte in a name", get + "X\x80: a\r\n\r\n", "", http1.BadFieldName},
		{"high bytes in a value are kept", get + "X: \xe9\x80\xff\r\n\r\n", same, 0},
		{"space before a colon", get + "X : a\r\n\r\n", "", http1.SpaceBeforeColon},
		{"empty name", get + ": a\r\n\r\n", "", http1.BadFieldName},
		{"no colon", get + "X\r\n\r\n", "", http1.BadFieldName},
		{"empty value", get + "X:\r\nY: \r\n\r\n", same, 0},
		{"odd case, order and whitespace are kept", get + "zZ:  1\t \r\naA:2\r\nzz: 3\r\n\r\n", same, 0},
		{"control character in the target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadTarget},
		// Host and target.
		{"no Host", "GET / HTTP/1.1\r\n\r\n", "", http1.MissingHost},
		{"no Host in 1.0", "GET / HTTP/1.0\r\n\r\n", same, 0},
		{"two Hosts", get + "Host: b\r\n\r\n", "", http1.DuplicateHost},
		{"the same Host twice", get + "Host: a\r\n\r\n", "", http1.DuplicateHost},
		{"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "", http1.BadHost},
		{"Host with user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "", http1.BadHost},
		{"Host list", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "", http1.BadHost},
		{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "", http1.BadHost},
		{"Host empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "", http1.BadHost},
		{"Host with a bad port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "", http1.BadHost},
		{"Host with an empty port", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "", http1.BadHost},
		{"Host with a port", "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", same, 0},
		{"Host of IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", same, 0},
		{"Host of IPv6, not closed", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "", http1.BadHost},
		{"Host with a NUL", "GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n", "", http1.BadFieldValue},
		{"absolute target wins", "GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x?y HTTP/1.1\r\nHost: b:81\r\n\r\n", 0},
		{"absolute target without a path", "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: b\r\n\r\n", 0},
		{"absolute target with a query only", "GET HTTPS://b?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?q HTTP/1.1\r\nHost: b\r\n\r\n", 0},
		{"absolute OPTIONS without a path", "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n", 0},
		{"absolute target of another scheme", "GET ftp://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadTarget},
		{"absolute target with user information", "GET http://u@b/x HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadTarget},
		{"absolute target without a host", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadTarget},
		{"authority as a target", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadTarget},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "", http1.ConnectRefused},
		{"asterisk of OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", same, 0},
		{"asterisk of GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadTarget},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "", http1.BadTarget},
		{"target bytes are kept", "GET //a/%2F/%2e%2e/../%00;x=1?a;b&c=%zz&\xe9|\"<> HTTP/1.1\r\nHost: a\r\n\r\n", same, 0},
		// Hop by hop.
		{"Connection and what it names", get + "Connection: X-Gone, close\r\nx-gone: 1\r\nX-Kept: 2\r\n\r\n", get + "X-Kept: 2\r\n\r\n", 0},
		{"Connection cannot remove Host", get + "Connection: Host\r\n\r\n", get + "\r\n", 0},
		{"Connection cannot remove the length", post + "Connection: Content-Length\r\nContent-Length: 1\r\n\r\nx", post + "Content-Length: 1\r\n\r\nx", 0},
		{"Connection cannot remove the encoding", post + "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", post + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
		{"Connection with empty elements", get + "Connection: ,, keep-alive ,\r\n\r\n", get + "\r\n", 0},
		{"Connection that is no list of tokens", get + "Connection: \"x\"\r\n\r\n", "", http1.BadConnection},
		{"Connection with too many names", get + "Connection: " + strings.Repeat("x,", 17) + "\r\n\r\n", "", http1.BadConnection},
		{"Keep-Alive, Proxy-Connection", get + "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nX: 1\r\n\r\n", get + "X: 1\r\n\r\n", 0},
		{"proxy authentication", get + "Proxy-Authorization: Basic x\r\nProxy-Authenticate: x\r\nProxy-Authentication-Info: x\r\n\r\n", get + "\r\n", 0},
		{"TE: trailers", get + "TE: trailers\r\n\r\n", get + "TE: trailers\r\nConnection: te\r\n\r\n", 0},
		{"TE of anything else", get + "TE: gzip, trailers\r\n\r\n", get + "\r\n", 0},
		{"upgrade to h2c is not forwarded", get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", get + "\r\n", 0},
		{"expect 100-continue", post + "Expect: 100-Continue\r\nContent-Length: 0\r\n\r\n", same, 0},
		{"expect something else", post + "Expect: 200-ok\r\n\r\n", "", http1.BadExpectation},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, r := forwardRequest(c.raw, http1.Forward{})
			if c.want == same {
				c.want = c.raw
			}
			if r != c.refusal || got != c.want {
				t.Errorf("%q\n forwarded %q (%v)\n want      %q (%v)", c.raw, got, r, c.want, c.refusal)
			}
		})
	}
}

func TestRequest_LimitsAnswer414And431(t *testing.T) {
	many := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: 1\r\n", 100) + "\r\n"
	long := "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", http1.MaxHead)
	target := "GET /" + strings.Repeat("x", http1.MaxHead)
	for _, c := range []struct {
		name, raw string
		want      reason.Reason
		status    int
	}{
		{"101 fields", many, reason.ClientHeadTooLarge, 431},
		{"64 KiB without an end", long, reason.ClientHeadTooLarge, 431},
		{"more than 64 KiB, whole", long + "\r\n\r\n", reason.ClientHeadTooLarge, 431},
		{"64 KiB of request line", target, reason.ClientTargetTooLong, 414},
		{"more than 64 KiB of request line, whole", target + " HTTP/1.1\r\nHost: a\r\n\r\n", reason.ClientTargetTooLong, 414},
		{"a request line that just fits, and a field too much", "GET /" + strings.Repeat("x", http1.MaxHead-16) + " HTTP/1.1\r\nHost: a\r\n\r\n", reason.ClientHeadTooLarge, 431},
	} {
		var h http1.Head
		h.Reset()
		r := h.Request([]byte(c.raw), false).Reason()
		if r != c.want || r.Status() != c.status {
			t.Errorf("%s: %v %d, want %v %d", c.name, r, r.Status(), c.want, c.status)
		}
	}
}

func TestRequest_ConnectHasNoBody(t *testing.T) {
	for fields, want := range map[string]http1.Refusal{"": http1.OK, "Content-Length: 0\r\n": http1.OK, "Content-Length: 3\r\n": http1.ConnectBody,
		"Transfer-Encoding: chunked\r\n": http1.ConnectBody} {
		var h http1.Head
		h.Reset()
		if r := h.Request([]byte("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n"+fields+"\r\n3\r\nabc\r\n0\r\n\r\n"), true); r != want {
			t.Errorf("%q: %v, want %v", fields, r, want)
		}
	}
}

func TestRefusal_HasAStatus(t *testing.T) {
	status := map[http1.Refusal]int{
		http1.UnknownVersion: 505, http1.ConnectRefused: 501, http1.UnknownEncoding: 501, http1.BadExpectation: 417,
		http1.TargetTooLong: 414, http1.HeadTooLarge: 431, http1.TooManyFields: 431,
	}
	for r := http1.BadRequestLine; r <= http1.BadStatus; r++ {
		want := 400
		if s := status[r]; s != 0 {
			want = s
		}
		if got := r.Reason().Status(); got != want || r.String() == "" || r.String() == "unknown" {
			t.Errorf("%v: %d, want %d", r, got, want)
		}
	}
}

func TestRequest_InjectedFieldsReplaceTheClientsInEveryForm(t *testing.T) {
	f := http1.Forward{Host: "b", Drop: []string{"authorization", "x-api-key"}}
	raw := "GET / HTTP/1.1\r\nHost: a\r\nAUTHORIZATION: 1\r\nx_api_key: 2\r\nX-Api_Key: 3\r\nX-Api-Keys: kept\r\nConnection: x-api-keyz\r\n\r\n"
	want := "GET / HTTP/1.1\r\nHost: b\r\nX-Api-Keys: kept\r\n\r\n"
	if got, r := forwardRequest(raw, f); got != want || r != http1.OK {
		t.Errorf("%q (%v), want %q", got, r, want)
	}
	trailer := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-api_key: 1\r\n\r\n"
	if got, r := forwardRequest(trailer, f, f.Drop...); r != http1.ForbiddenTrailer {
		t.Errorf("%q (%v) in a trailer", got, r)
	}
}

func TestRequest_IsTheSameHoweverItArrives(t *testing.T) {
	raw := []byte("\r\nPOST /a?b HTTP/1.1\r\nHost: a\r\nConnection: close, x-y\r\nX-Y: 1\r\nZ:  2 \r\nContent-Length: 3\r\n\r\nabc")
	var whole http1.Head
	whole.Reset()
	if r := whole.Request(raw, false); r != http1.OK {
		t.Fatal(r)
	}
	want := string(whole.AppendRequest(nil, http1.Forward{}))
	var h http1.Head
	h.Reset()
	for n := range len(raw) {
		moved := append([]byte(nil), raw[:n]...) // at another address each time
		r := h.Request(moved, false)
		if r == http1.More {
			continue
		}
		if got := string(h.AppendRequest(nil, http1.Forward{})); r != http1.OK || got != want || h.Size != whole.Size || n != whole.Size {
			t.Fatalf("after %d bytes: %v, %q, %d bytes; want %q, %d", n, r, got, h.Size, want, whole.Size)
		}
		return
	}
	t.Fatal("never complete")
}

func TestRequest_KeepAlive(t *testing.T) {
	for raw, want := range map[string]bool{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n":                                                      true,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":                                 false,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, CLOSE\r\n\r\n":                     false,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: x, close\r\n\r\n":    false,
		"GET / HTTP/1.0\r\n\r\n":                                                                 false,
		"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n":                                       true,
		"GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n":                                false,
		"GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n":                                 false,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nProxy-Connection: close\r\n\r\n": true,
	} {
		var h http1.Head
		h.Reset()
		if r := h.Request([]byte(raw), false); r != http1.OK || h.KeepAlive != want {
			t.Errorf("%q: %v, keep alive %v", raw, r, h.KeepAlive)
		}
	}
}
