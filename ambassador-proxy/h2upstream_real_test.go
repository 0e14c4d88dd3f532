package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// foreground starts a server with a configuration file and waits until it listens.
func foreground(t *testing.T, address, config, name string, args ...string) {
	t.Helper()
	dir := t.TempDir()
	_ = os.Chmod(dir, 0o755)
	file := filepath.Join(dir, "conf")
	write(t, file, strings.ReplaceAll(config, "DIR", dir))
	kittest.Start(t, nil, name, append(args, file)...)
	listening(t, address)
}

// posting sends requests that must not be sent twice, one after another in each of some goroutines, and tells what went wrong.
func posting(t *testing.T, address, body string, each int, pause time.Duration) (failed int64, first string) {
	t.Helper()
	var bad atomic.Int64
	var why atomic.Pointer[string]
	var running sync.WaitGroup
	for range 8 {
		c := client(t, true)
		running.Go(func() {
			for range each {
				response, err := c.Post("http://"+address+"/", "text/plain", strings.NewReader(body))
				said := ""
				if err == nil {
					var b []byte
					b, err = io.ReadAll(response.Body)
					response.Body.Close()
					said = fmt.Sprintf("%d %s", response.StatusCode, b)
				}
				if err != nil || response.StatusCode != http.StatusOK {
					said = fmt.Sprintf("%s %v", said, err)
					why.CompareAndSwap(nil, &said)
					bad.Add(1)
				}
				if pause > 0 {
					time.Sleep(pause) // as an app does: what is idle meanwhile is closed
				}
			}
		})
	}
	running.Wait()
	if s := why.Load(); s != nil {
		first = *s
	}
	return bad.Load(), first
}

func TestRealNginx_AGoAwayEveryTwentyRequestsFailsNone(t *testing.T) {
	kittest.NeedReal(t, "nginx")
	address := kittest.FreeAddress(t)
	foreground(t, address, fmt.Sprintf(`daemon off; master_process off; pid DIR/pid; error_log DIR/log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 20; client_body_temp_path DIR/a; proxy_temp_path DIR/b;
server { listen %s http2; location / { return 200 fine; } } }
`, address), "nginx", "-c")
	for _, body := range []string{"", "small", strings.Repeat("x", 60<<10)} { // one of more than 64 KiB cannot be sent again
		front, _, _ := proxied(t, "h2c://"+address)
		if failed, why := posting(t, front, body, 250, 0); failed > 0 {
			t.Errorf("with a body of %d bytes %d failed: %s", len(body), failed, why)
		}
	}
}

func TestRealHAProxy_ThatClosesIdleConnectionsFailsNoRequest(t *testing.T) {
	kittest.NeedReal(t, "haproxy")
	address := kittest.FreeAddress(t)
	foreground(t, address, fmt.Sprintf(`defaults
  mode http
  timeout client 300ms
  timeout http-keep-alive 300ms
  timeout connect 5s
  timeout server 5s
frontend f
  bind %s proto h2
  http-request return status 200 content-type text/plain string fine
`, address), "haproxy", "-db", "-f")
	front, _, _ := proxied(t, "h2c://"+address)
	if failed, why := posting(t, front, "small", 12, 300*time.Millisecond); failed > 0 {
		t.Errorf("%d failed: %s", failed, why)
	}
}

func TestRealGRPC_AConnectionThatEndsEveryFewMillisecondsFailsNoCall(t *testing.T) {
	client, address := interop(t, grpcModule+"/client"), kittest.FreeAddress(t)
	kittest.Start(t, nil, interop(t, "./graceful"), address, "50ms")
	listening(t, address)
	front, _, _ := proxied(t, "grpc://"+address)
	if problem := call(t, client, front, "rpc_soak", "--soak_iterations=4000", "--soak_num_threads=4", "--soak_request_size=64", "--soak_response_size=64",
		"--soak_overall_timeout_seconds=60", "--soak_per_iteration_max_acceptable_latency_ms=10000", "--soak_max_failures=0"); problem != "" {
		t.Error(problem)
	}
}
