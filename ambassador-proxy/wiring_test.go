//go:build !race

// The race detector makes sync.Pool forget things at random.

package main

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pod-helpers/pod-helpers/internal/kit"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
)

// replying is a backend without allocations of its own, so that those of the whole process are the ambassador's.
func replying(t testing.TB, requestBytes int, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go reply(c, requestBytes, []byte(answer))
		}
	}()
	return l.Addr().String()
}

func reply(c net.Conn, requestBytes int, answer []byte) {
	defer c.Close()
	in := make([]byte, requestBytes)
	for r := bufio.NewReaderSize(c, 1<<16); ; {
		if _, err := io.ReadFull(r, in); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// wired starts listener, engine, upstream core and metrics as the program does, and connects to it.
func wired(t testing.TB, target string) net.Conn {
	address := kittest.FreeAddress(t)
	c := config.Default()
	c.Listeners = []config.Listener{{Address: address, To: "up"}}
	c.Upstreams = map[string]*config.Upstream{"up": {URL: target}}
	c.Complete()
	s, err := start(t.Context(), &c, kit.Env{Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Secrets: &conf.Secrets{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	app, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Close() })
	return app
}

func TestRequest_AllocatesNothingFromListenerToBackend(t *testing.T) {
	const request, answer = "GET / HTTP/1.1\r\nHost: ambassador\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	forwarded := len("GET / HTTP/1.1\r\nHost: 127.0.0.1:12345\r\n\r\n")
	addr := replying(t, forwarded, answer)
	app := wired(t, "http://"+addr+"?host=127.0.0.1:12345")
	in, out := make([]byte, len(answer)), []byte(request)
	n := testing.AllocsPerRun(1000, func() {
		if _, err := app.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(app, in); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}
