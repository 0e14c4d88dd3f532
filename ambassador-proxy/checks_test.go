package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// checked is a server whose health is switched on and off, for HTTP and for gRPC.
func checked(t *testing.T, h2 bool) (host string, well *atomic.Bool) {
	well = &atomic.Bool{}
	well.Store(true)
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/healthz" && !well.Load():
			w.WriteHeader(500)
		case r.URL.Path == "/grpc.health.v1.Health/Check":
			status := byte(1)
			if !well.Load() {
				status = 2
			}
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, status})
			w.Header().Set("Grpc-Status", "0")
		}
	}), false, h2)
	return strings.TrimPrefix(s.URL, "http://"), well
}

func TestActiveChecks_TakeASickEndpointOutAndBack(t *testing.T) {
	for name, row := range map[string]struct {
		scheme, check string
		h2            bool
	}{"HTTP": {"http", "path: /healthz", false}, "gRPC": {"grpc", "grpc: true", true}} {
		t.Run(name, func(t *testing.T) {
			good, _ := checked(t, row.h2)
			bad, well := checked(t, row.h2)
			admin := configured(t, fmt.Sprintf(`
listeners: [{address: %q, to: shop}]
upstreams:
  shop: {url: "%s://%s,%s", health: {%s, interval: 50ms, fall: 2, rise: 2}}
`, kittest.FreeAddress(t), row.scheme, good, bad, row.check))
			waitEndpoints(t, admin, "healthy", 2)
			well.Store(false)
			waitEndpoints(t, admin, "down", 1)
			well.Store(true)
			waitEndpoints(t, admin, "healthy", 2)
		})
	}
}

func TestActiveChecks_ByTCPSeeAClosedPort(t *testing.T) {
	good, gone := tcpEcho(t), kittest.FreeAddress(t)
	admin := configured(t, fmt.Sprintf(`
listeners: [{address: %q, to: db}]
upstreams:
  db: {url: "tcp://%s,%s", health: {tcp: true, interval: 50ms}}
`, kittest.FreeAddress(t), good, gone))
	waitEndpoints(t, admin, "down", 1)
	l, err := net.Listen("tcp", gone)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	waitEndpoints(t, admin, "healthy", 2)
}

func waitEndpoints(t *testing.T, admin, state string, n int) {
	t.Helper()
	kittest.Eventually(t, 10*time.Second, func() bool {
		_, metrics := kittest.Get("http://" + admin + "/metrics")
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, "ambassador_endpoints{") && strings.Contains(line, `state="`+state+`"`) && strings.HasSuffix(line, fmt.Sprintf(" %d\n", n)) {
				return true
			}
		}
		return false
	}, fmt.Sprintf("%d endpoints %s", n, state))
}

func TestActiveChecks_LeaveNoConnectionsBehind(t *testing.T) {
	for scheme, h2 := range map[string]bool{"http": false, "h2c": true} {
		var asked, open atomic.Int64
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
		s.Config.Protocols = &http.Protocols{}
		s.Config.Protocols.SetHTTP1(!h2)
		s.Config.Protocols.SetUnencryptedHTTP2(h2)
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Add(-1)
			}
		}
		s.Start()
		t.Cleanup(s.Close)
		configured(t, fmt.Sprintf("listeners: [{address: %q, to: a}]\nupstreams: {a: {url: %q, health: {path: /, interval: 20ms}}}\n",
			kittest.FreeAddress(t), scheme+strings.TrimPrefix(s.URL, "http")))
		kittest.Eventually(t, 10*time.Second, func() bool { return asked.Load() >= 10 }, "ten checks by "+scheme)
		kittest.Eventually(t, 5*time.Second, func() bool { return open.Load() <= 1 }, "the end of the connections of checks by "+scheme)
	}
}
