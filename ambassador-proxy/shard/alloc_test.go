//go:build !race

// The race detector makes sync.Pool forget things at random.

package shard

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
)

func TestSession_AllocatesNothingPerCommand(t *testing.T) {
	get, set := command("GET", "user:7"), command("SET", "user:7", "hello")
	for _, c := range []struct{ name, scheme, request, answer string }{
		{"GET", "redis", get, "$5\r\nhello\r\n"},
		{"SET", "redis", set, "+OK\r\n"},
		{"sixteen GETs at once", "redis", strings.Repeat(get, 16), strings.Repeat("$5\r\nhello\r\n", 16)},
		{"memcached get", "memcached", "get user:7\r\n", "VALUE user:7 0 5\r\nhello\r\nEND\r\n"},
		{"memcached set", "memcached", "set user:7 0 0 5\r\nhello\r\n", "STORED\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			app, _ := through(t, config.Upstream{URL: c.scheme + "://" + answering(t, len(c.request), c.answer)}, 0)
			in, out := make([]byte, len(c.answer)), []byte(c.request)
			if n := testing.AllocsPerRun(1000, func() { exchange(t, app, out, in) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
			if string(in) != c.answer {
				t.Errorf("answered %q", in)
			}
		})
	}
}

func TestTrunk_AllocatesNothingPerCommand(t *testing.T) {
	request, answer := command("GET", "k"), "+GET k\r\n"
	p, dial, _ := started(t, config.Upstream{URL: "redis://" + answering(t, len(request), answer)}, 0)
	app := shared(t, p, dial, 0)[1]
	in, out := make([]byte, len(answer)), []byte(request)
	if n := testing.AllocsPerRun(1000, func() { exchange(t, app, out, in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func exchange(t testing.TB, app net.Conn, out, in []byte) {
	if _, err := app.Write(out); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(app, in); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkGET guards the cost of one command over loopback; it is that of the system calls.
func BenchmarkGET(b *testing.B) {
	request, answer := command("GET", "user:7"), "$5\r\nhello\r\n"
	app, _ := through(b, config.Upstream{URL: "redis://" + answering(b, len(request), answer)}, 0)
	in, out := make([]byte, len(answer)), []byte(request)
	b.ReportAllocs()
	for b.Loop() {
		exchange(b, app, out, in)
	}
}
