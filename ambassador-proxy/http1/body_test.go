package http1_test

import (
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
)

func TestBody_ChunkedIsFollowedStrictly(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		refusal   http1.Refusal
	}{
		{"empty", "0\r\n\r\n", 0},
		{"two chunks", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", 0},
		{"lower-case and leading zeros", "00a\r\n0123456789\r\n000\r\n\r\n", 0},
		{"extension", "3;a=b;c;d=\"e\\\"f;\"\r\nabc\r\n0;x\r\n\r\n", 0},
		{"trailers", "0\r\nX-Sum: 1\r\nY:\r\n\r\n", 0},
		{"0x3", "0x3\r\nabc\r\n0\r\n\r\n", http1.BadChunkSize},
		{"+3", "+3\r\nabc\r\n0\r\n\r\n", http1.BadChunkSize},
		{"1_0", "1_0\r\nabc\r\n0\r\n\r\n", http1.BadChunkSize},
		{"leading space", " 3\r\nabc\r\n0\r\n\r\n", http1.BadChunkSize},
		{"trailing space", "3 \r\nabc\r\n0\r\n\r\n", http1.BadChunkSize},
		{"space before an extension", "3 ;a\r\nabc\r\n0\r\n\r\n", http1.BadChunkSize},
		{"empty size", "\r\nabc\r\n0\r\n\r\n", http1.BadChunkSize},
		{"size overflows", "10000000000000003\r\nabc\r\n0\r\n\r\n", http1.BadChunkSize},
		{"data longer than its size", "3\r\nabcd\r\n0\r\n\r\n", http1.BadChunkEnd},
		{"data shorter than its size", "5\r\nabc\r\n0\r\n\r\n", http1.BadChunkEnd},
		{"bare LF after the size", "3\nabc\r\n0\r\n\r\n", http1.BadChunkSize},
		{"bare CR after the size", "3\rabc\r\n0\r\n\r\n", http1.BadChunkSize},
		{"bare LF after the data", "3\r\nabc\n0\r\n\r\n", http1.BadChunkEnd},
		{"bare LF after the last chunk", "0\n\r\n", http1.BadChunkSize},
		{"bare LF at the end", "0\r\n\n", http1.BadTrailer},
		{"CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n", http1.BadChunkSize},
		{"LF in an extension", "3;a\nabc\r\n0\r\n\r\n", http1.BadChunkExtension},
		{"LF in a quoted extension", "3;a=\"\n\"\r\nabc\r\n0\r\n\r\n", http1.BadChunkExtension},
		{"nameless extension", "3;\r\nabc\r\n0\r\n\r\n", http1.BadChunkExtension},
		{"valueless extension", "3;a=\r\nabc\r\n0\r\n\r\n", http1.BadChunkExtension},
		{"space in an extension", "3; a=b\r\nabc\r\n0\r\n\r\n", http1.BadChunkExtension},
		{"text after a quoted extension", "3;a=\"b\"c\r\nabc\r\n0\r\n\r\n", http1.BadChunkExtension},
		{"17 KiB of extension", "3;" + strings.Repeat("a", 17<<10) + "\r\nabc\r\n0\r\n\r\n", http1.BadChunkExtension},
		{"17 KiB of extensions in many chunks", strings.Repeat("1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n", 17<<5) + "0\r\n\r\n", http1.BadChunkExtension},
		{"17 KiB of trailers", "0\r\n" + strings.Repeat("X: 1\r\n", 3<<10) + "\r\n", http1.BadTrailer},
		{"trailer without a colon", "0\r\nX\r\n\r\n", http1.BadTrailer},
		{"trailer without a name", "0\r\n: 1\r\n\r\n", http1.BadTrailer},
		{"folded trailer", "0\r\nX: 1\r\n 2\r\n\r\n", http1.BadTrailer},
		{"space before the colon of a trailer", "0\r\nX : 1\r\n\r\n", http1.BadTrailer},
		{"NUL in a trailer", "0\r\nX: \x00\r\n\r\n", http1.BadTrailer},
		{"bare LF in a trailer", "0\r\nX: 1\n\r\n", http1.BadTrailer},
		{"Content-Length in a trailer", "0\r\nContent-Length: 1\r\n\r\n", http1.ForbiddenTrailer},
		{"Transfer-Encoding in a trailer", "0\r\ntransfer-encoding: chunked\r\n\r\n", http1.ForbiddenTrailer},
		{"Host in a trailer", "0\r\nHost: b\r\n\r\n", http1.ForbiddenTrailer},
		{"Authorization in a trailer", "0\r\nAUTHORIZATION: x\r\n\r\n", http1.ForbiddenTrailer},
		{"cut short", "3\r\nab", http1.More},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, step := range []int{len(c.raw), 1, 7} {
				n, r := follow(c.raw+"NEXT", step)
				if c.refusal == http1.More {
					n, r = follow(c.raw, step)
				}
				if r != c.refusal || r == http1.OK && n != len(c.raw) {
					t.Errorf("in steps of %d: %v after %d bytes, want %v after %d", step, r, n, c.refusal, len(c.raw))
				}
			}
		})
	}
}

// follow gives raw to a chunked body in steps and returns how many bytes belong to it.
func follow(raw string, step int) (n int, r http1.Refusal) {
	b := http1.Body{Kind: http1.Chunked}
	for n < len(raw) {
		p := raw[n:min(len(raw), n+step)]
		k, done, r := b.Next([]byte(p))
		n += k
		if done || r != http1.OK {
			return n, r
		}
		if k != len(p) {
			panic("stopped early without an end")
		}
	}
	return n, http1.More
}

func TestBody_LengthLeavesWhatComesAfter(t *testing.T) {
	var h http1.Head
	h.Reset()
	raw := []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcdeGET")
	h.Request(raw, false)
	if n, done, _ := h.Body.Next(raw[h.Size : h.Size+2]); n != 2 || done || h.Body.Left() != 3 {
		t.Errorf("%d, %v, %d left", n, done, h.Body.Left())
	}
	if n, done, _ := h.Body.Next(raw[h.Size+2:]); n != 3 || !done {
		t.Errorf("%d, %v", n, done)
	}
}
