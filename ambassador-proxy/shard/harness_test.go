package shard

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/discover"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// scripted is a shard that does with each connection what serve says.
func scripted(t testing.TB, serve func(c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	return kittest.Serve(t, func(c net.Conn) { serve(c, bufio.NewReaderSize(c, 1<<20)) })
}

// answering reads requests of a fixed size and gives a fixed answer, without allocations of its own.
func answering(t testing.TB, requestBytes int, answer string) string {
	return scripted(t, func(c net.Conn, r *bufio.Reader) {
		in, out := make([]byte, requestBytes), []byte(answer)
		for {
			if _, err := io.ReadFull(r, in); err != nil {
				return
			}
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	})
}

// through starts a proxy to an upstream and connects to it.
func through(t testing.TB, c config.Upstream, limit int) (app net.Conn, up *upstream.Upstream) {
	t.Helper()
	_, dial, up := started(t, c, limit)
	return dial(), up
}

// started starts a proxy to an upstream; dial connects to it.
func started(t testing.TB, c config.Upstream, limit int) (p *Proxy, dial func() net.Conn, up *upstream.Upstream) {
	t.Helper()
	up, err := upstream.New("cache", c, upstream.Env{Log: slog.New(slog.DiscardHandler), Secrets: &conf.Secrets{},
		Health: health.NewRegistry(), DNS: &discover.DNS{}, StartupWait: func() time.Duration { return time.Second }})
	if err != nil {
		t.Fatal(err)
	}
	p = New(Config{Upstream: up, Metrics: NewMetrics(prometheus.NewRegistry()), Secrets: &conf.Secrets{}, Command: limit})
	t.Cleanup(func() { p.Close(); up.Close() })
	address := kittest.Serve(t, p.Serve)
	if _, err := up.Await(context.Background()); err != nil {
		t.Fatal(err)
	}
	return p, func() net.Conn {
		t.Helper()
		app, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = app.SetDeadline(time.Now().Add(20 * time.Second))
		t.Cleanup(func() { app.Close() })
		return app
	}, up
}

// asked sends a request and reads as many bytes as are wanted.
func asked(t testing.TB, app net.Conn, request, want string) {
	t.Helper()
	if _, err := io.WriteString(app, request); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	n, err := io.ReadFull(app, got)
	if string(got[:n]) != want {
		t.Fatalf("%.200q: got %.500q, want %.500q (%v)", request, got[:n], want, err)
	}
}

func command(words ...string) string {
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	return string(AppendCommand(nil, args...))
}

// keyOn is a key that lies on the shard of an address.
func keyOn(t testing.TB, up *upstream.Upstream, address string) string {
	t.Helper()
	m := NewMap(up, nil)
	for i := range 10000 {
		key := strconv.Itoa(i) + ":of:user" // what differs stands first: FNV spreads it
		p, err := m.Find(context.Background(), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		if p.Address == address {
			return key
		}
	}
	t.Fatal("no key lies there")
	return ""
}

// eventually is kittest's.
func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	kittest.Eventually(t, 10*time.Second, condition, what)
}
