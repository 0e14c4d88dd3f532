package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// interop builds a program of the pinned gRPC module into the user's cache; go build looks itself whether it is up to date.
func interop(t *testing.T, pkg string) string {
	t.Helper()
	kittest.NeedReal(t, "go")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(cache, "pod-helpers", "grpc-interop-"+path.Base(pkg))
	build := exec.Command("go", "build", "-o", binary, pkg)
	build.Dir = filepath.Join(kittest.Root(t), "internal", "testtools", "grpcinterop")
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return binary
}

const grpcModule = "google.golang.org/grpc/interop"

// call runs the interop client against an address; what it says is empty when the case went well.
func call(t *testing.T, client, address, test string, flags ...string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, client, append([]string{"--server_host", host, "--server_port", port, "--test_case", test}, flags...)...)
	c.WaitDelay = time.Second
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Sprintf("%v %s", err, out)
	}
	return ""
}

// listening waits until somebody accepts.
func listening(t *testing.T, address string) {
	t.Helper()
	kittest.Eventually(t, 10*time.Second, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, "a server at "+address)
}

// interopServer is gRPC's own, and the URL under which the ambassador reaches it.
func interopServer(t *testing.T, secure bool) (target string) {
	address := kittest.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	args, target := []string{"--port", port}, "grpc://"+address
	if secure {
		cert, key := loopbackCertificate(t)
		args, target = append(args, "--use_tls", "--tls_cert_file", cert, "--tls_key_file", key), "grpcs://"+address+"?ca="+cert
	}
	kittest.Start(t, nil, interop(t, grpcModule+"/server"), args...)
	listening(t, address)
	return target
}

// loopbackCertificate writes net/http/httptest's certificate for 127.0.0.1, which is its own authority.
func loopbackCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pair := s.TLS.Certificates[0]
	secret, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// The cases of gRPC's interop specification that its Go client has, less pick_first_unary (the Go server does not say who it is,
// so that the case fails without a proxy too). The client has no client_compressed_* and server_compressed_*; those with
// credentials talk to Google.
var interopCases = strings.Fields(`empty_unary large_unary client_streaming server_streaming ping_pong empty_stream
	timeout_on_sleeping_server cancel_after_begin cancel_after_first_response status_code_and_message special_status_message
	custom_metadata unimplemented_method unimplemented_service orca_per_rpc orca_oob rpc_soak channel_soak`)

func TestRealGRPC_EveryInteropCaseGoesThrough(t *testing.T) {
	for name, secure := range map[string]bool{"h2c to h2c": false, "h2c to TLS": true} {
		t.Run(name, func(t *testing.T) {
			client := interop(t, grpcModule+"/client")
			address, admin, _ := proxied(t, interopServer(t, secure))
			for _, test := range interopCases {
				t.Run(test, func(t *testing.T) {
					flags := []string{"--soak_iterations=100"}
					if strings.HasPrefix(test, "orca") {
						flags = append(flags, `--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`)
					}
					if problem := call(t, client, address, test, flags...); problem != "" {
						t.Error(problem)
					}
				})
			}
			_, metrics := kittest.Get("http://" + admin + "/metrics")
			went := regexp.MustCompile(`ambassador_requests_total\{code="2xx",listener="` + address + `",reason="ok",upstream="127.0.0.1"\} (\d+)`).FindStringSubmatch(metrics)
			if went == nil {
				t.Fatal("the ambassador counted no call")
			}
			if n, _ := strconv.Atoi(went[1]); n < 200+len(interopCases)/2 {
				t.Errorf("only %d calls went through the ambassador", n)
			}
		})
	}
}

func TestRealGRPC_AnUnreachableServerIsUnavailableToTheClient(t *testing.T) {
	address, _, _ := proxied(t, "grpc://"+kittest.FreeAddress(t))
	problem := call(t, interop(t, grpcModule+"/client"), address, "empty_unary")
	if !strings.Contains(problem, "code = Unavailable") || !strings.Contains(problem, "connection refused") || strings.Contains(problem, "HTTP status code") {
		t.Errorf("the client saw: %s", problem)
	}
}

// The server never answers: the ambassador's own timer ends the call.
func TestRealGRPC_ASilentServerIsDeadlineExceededToTheClient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody else does
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address, _, _ := proxied(t, "grpc://"+l.Addr().String()+"?timeout=200ms")
	if problem := call(t, interop(t, grpcModule+"/client"), address, "empty_unary"); !strings.Contains(problem, "code = DeadlineExceeded") {
		t.Errorf("the client saw: %s", problem)
	}
}

func TestRealGRPC_RollingRestartOfAllServersFailsNoCall(t *testing.T) {
	client, graceful := interop(t, grpcModule+"/client"), interop(t, "./graceful")
	var servers []*kittest.Process
	var hosts []string
	for range 3 {
		a := kittest.FreeAddress(t)
		servers, hosts = append(servers, kittest.Start(t, nil, graceful, a)), append(hosts, a)
		listening(t, a)
	}
	address, admin, _ := proxied(t, "grpc://"+strings.Join(hosts, ",")+"?balance=round_robin")
	stop, done := make(chan struct{}), make(chan string, 1)
	go func() { // one client after another, until the restarts are done
		problem := ""
		for problem == "" {
			select {
			case <-stop:
				done <- ""
				return
			default:
			}
			problem = call(t, client, address, "rpc_soak", "--soak_iterations=1000", "--soak_num_threads=4", "--soak_request_size=64", "--soak_response_size=64",
				"--soak_overall_timeout_seconds=60", "--soak_per_iteration_max_acceptable_latency_ms=10000", "--soak_max_failures=0")
		}
		done <- problem
	}()
	total := regexp.MustCompile(`ambassador_upstream_attempts_total\{result="ok",upstream="127.0.0.1"\} (\d+)`)
	sent := func() (n int) {
		_, metrics := kittest.Get("http://" + admin + "/metrics")
		if m := total.FindStringSubmatch(metrics); m != nil {
			n, _ = strconv.Atoi(m[1])
		}
		return n
	}
	traffic := func(what string) {
		before := sent()
		kittest.Eventually(t, 20*time.Second, func() bool { return sent() > before+200 }, what)
	}
	for i, s := range servers {
		traffic("traffic")
		s.Signal(syscall.SIGTERM)
		if code := s.Wait(20 * time.Second); code != 0 {
			t.Errorf("server %d ended with %d", i, code)
		}
		traffic("traffic without a server")
		kittest.Start(t, nil, graceful, hosts[i])
		listening(t, hosts[i])
	}
	close(stop)
	if problem := <-done; problem != "" {
		t.Error(problem)
	}
}
