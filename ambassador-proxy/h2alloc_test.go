//go:build !race

// The race detector makes sync.Pool forget things at random.

package main

import (
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
)

// h2Exchange sends requests over HTTP/2 as frames made before, without allocations of its own, and waits for the end of each
// answer.
func h2Exchange(t testing.TB, app net.Conn) func() {
	t.Helper()
	setup := append([]byte(http2.ClientPreface), 0, 0, 0, 4, 0, 0, 0, 0, 0)
	setup = append(setup, 0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0) // a window that no test fills
	if _, err := app.Write(setup); err != nil {
		t.Fatal(err)
	}
	// :method GET, :scheme http and :path / are of the static table, :authority a is a literal that is not indexed
	request := []byte{0, 0, 6, 1, 5, 0, 0, 0, 0, 0x82, 0x86, 0x84, 0x01, 0x01, 'a'}
	head, payload, stream := make([]byte, 9), make([]byte, 1<<14), uint32(1)
	return func() {
		request[5], request[6], request[7], request[8] = byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream)
		if _, err := app.Write(request); err != nil {
			t.Fatal(err)
		}
		for ended := false; !ended; {
			if _, err := io.ReadFull(app, head); err != nil {
				t.Fatal(err)
			}
			n := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
			if _, err := io.ReadFull(app, payload[:n]); err != nil {
				t.Fatal(err)
			}
			ours := uint32(head[5])<<24|uint32(head[6])<<16|uint32(head[7])<<8|uint32(head[8]) == stream
			ended = ours && (head[3] == 0 || head[3] == 1) && head[4]&1 != 0
		}
		stream += 2
	}
}

// h2Allocations is the most that a GET over HTTP/2 to an HTTP/1.1 backend may allocate.
const h2Allocations = 0

func h2Wired(t testing.TB) (once func()) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	addr := replying(t, len("GET / HTTP/1.1\r\nHost: 127.0.0.1:12345\r\n\r\n"), answer)
	return h2Exchange(t, wired(t, "http://"+addr+"?host=127.0.0.1:12345"))
}

func TestH2Request_AllocatesNoMoreThanItDoes(t *testing.T) {
	if n := testing.AllocsPerRun(1000, h2Wired(t)); n > h2Allocations {
		t.Errorf("%v allocations a request, of which %d are allowed", n, h2Allocations)
	}
}

func BenchmarkH2Request(b *testing.B) {
	once := h2Wired(b)
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}
