package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// echoing is a backend that answers an upgrade and then echoes.
func echoing(t *testing.T) string {
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(c, rw)
	}), false, false)
	return strings.TrimPrefix(s.URL, "http://")
}

// upgraded opens a WebSocket and sees that it echoes.
func upgraded(t *testing.T, address string) net.Conn {
	c := dialed(t, address)
	fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(c)
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != 101 {
		t.Fatalf("%v %v", response, err)
	}
	echoes(t, c)
	return c
}

func dialed(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func echoes(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write([]byte("frame")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "frame" {
		t.Fatalf("echo %q, %v", got, err)
	}
}

func tcpEcho(t *testing.T) string {
	return kittest.Serve(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
}

func TestDrain_DoesNotWaitForConnectionsOnWhichNothingMoves(t *testing.T) {
	for _, row := range []struct {
		name, target string
		open         func(address string) net.Conn
	}{
		{"TCP", "tcp://" + tcpEcho(t), func(a string) net.Conn { c := dialed(t, a); echoes(t, c); return c }},
		{"WebSocket", "http://" + echoing(t), func(a string) net.Conn { return upgraded(t, a) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			address, _, p := proxied(t, row.target, "--drain-quiet", "500ms", "--drain-timeout", "30s")
			c := row.open(address)
			p.Signal(syscall.SIGTERM)
			begin := time.Now()
			for time.Since(begin) < time.Second { // as long as bytes move, it lives
				echoes(t, c)
			}
			if code := p.Wait(10 * time.Second); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestMaxConnections_CountsThoseOfBothEngines(t *testing.T) {
	s := server(t, http.HandlerFunc(echo), false, false)
	address, admin, _ := proxied(t, s.URL, "--max-connections", "2")
	for range 2 {
		if response, _ := do(t, client(t, true), "GET", "http://"+address+"/", ""); response.StatusCode != 200 {
			t.Fatal(response.Status)
		}
	}
	if c, err := net.Dial("tcp", address); err == nil { // it may be reset before Dial looks
		defer c.Close()
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("a third connection was served: %d bytes", n)
		}
	}
	kittest.Eventually(t, 5*time.Second, func() bool {
		_, metrics := kittest.Get("http://" + admin + "/metrics")
		return strings.Contains(metrics, `ambassador_connections{side="app",state="open",upstream=""} 2`)
	}, "both in the metric")
	if _, metrics := kittest.Get("http://" + admin + "/metrics"); !strings.Contains(metrics, "ambassador_rejected_connections_total 1") {
		t.Error("the third is not counted")
	}
}
