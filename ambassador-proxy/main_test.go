package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
)

func TestMain(m *testing.M) {
	kittest.RegisterUpdate()
	kittest.Main(m, map[string]func(){"ambassador-proxy": main})
}

func TestScripts(t *testing.T) { kittest.Scripts(t, "testdata/script", nil) }

func TestUsage_NamesEveryFlag(t *testing.T) {
	loader := conf.Loader[config.Config]{Name: "ambassador-proxy", EnvPrefix: "AMBASSADOR_", Defaults: config.Default, Flags: config.Flags}
	kittest.UsageNamesEveryFlag(t, "ambassador-proxy", loader.Names())
}

// proxied starts an ambassador with one --proxy to target and returns the address that the app connects to.
func proxied(t *testing.T, target string, args ...string) (address, admin string, p *kittest.Process) {
	t.Helper()
	address, admin = kittest.FreeAddress(t), kittest.FreeAddress(t)
	p = kittest.Start(t, nil, "ambassador-proxy", append([]string{"--admin-address", admin, "--proxy", address + "=" + target}, args...)...)
	p.WaitReady(admin)
	return address, admin, p
}

// client speaks HTTP/1.1, or HTTP/2 with prior knowledge.
func client(t *testing.T, h2 bool) *http.Client {
	tr := &http.Transport{Protocols: &http.Protocols{}}
	tr.Protocols.SetHTTP1(!h2)
	tr.Protocols.SetUnencryptedHTTP2(h2)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

func do(t *testing.T, c *http.Client, method, url, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// echo answers what it was asked: protocol, method, target, host and body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Auth", r.Header.Get("Authorization"))
	fmt.Fprintf(w, "%s %s %s %s %s", r.Proto, r.Method, r.RequestURI, r.Host, body)
}

func server(t *testing.T, h http.Handler, secure, h2 bool) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetHTTP1(!h2)
	s.Config.Protocols.SetHTTP2(h2)
	s.Config.Protocols.SetUnencryptedHTTP2(h2)
	if secure {
		s.EnableHTTP2 = h2
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func TestProxy_TranslatesBetweenEveryPairOfHTTPVersions(t *testing.T) {
	for _, row := range []struct {
		scheme     string
		secure, h2 bool
	}{{"http", false, false}, {"https", true, false}, {"h2c", false, true}, {"h2", true, true}} {
		s := server(t, http.HandlerFunc(echo), row.secure, row.h2)
		_, host, _ := strings.Cut(s.URL, "://")
		options := ""
		if row.secure {
			options = "?insecure_skip_verify=true"
		}
		address, _, _ := proxied(t, row.scheme+"://"+host+options)
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, h2 from the app %v", row.scheme, h2), func(t *testing.T) {
				response, body := do(t, client(t, h2), "POST", "http://"+address+"/a%2Fb?x=1;y=%zz", "hello")
				proto := "HTTP/1.1"
				if row.h2 {
					proto = "HTTP/2.0"
				}
				want := proto + " POST /a%2Fb?x=1;y=%zz " + host + " hello"
				if response.StatusCode != 200 || body != want {
					t.Errorf("got %d %q, want %q", response.StatusCode, body, want)
				}
			})
		}
	}
}

func TestWebSocket_GoesThroughBothWays(t *testing.T) {
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(c, rw)
	}), false, false)
	address, _, _ := proxied(t, s.URL)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(c)
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != 101 {
		t.Fatalf("%v %v", response, err)
	}
	fmt.Fprint(c, "frame")
	got := make([]byte, 5)
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "frame" {
		t.Errorf("echo %q, %v", got, err)
	}
}

func TestTCP_KeepsHalfClose(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		all, _ := io.ReadAll(c) // ends with the client's half-close only
		fmt.Fprintf(c, "%d bytes", len(all))
	}()
	address, _, _ := proxied(t, "tcp://"+l.Addr().String())
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(c)
	if err != nil || string(answer) != "1048576 bytes" {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestErrors_SayInPlainWordsWhatHappened(t *testing.T) {
	dead := kittest.FreeAddress(t)
	address, _, _ := proxied(t, "http://"+dead)
	for _, h2 := range []bool{false, true} {
		response, body := do(t, client(t, h2), "GET", "http://"+address+"/", "")
		if response.StatusCode != 502 || response.Header.Get("X-Ambassador-Error") != "connect_refused" ||
			!strings.Contains(body, "("+dead+"): connection refused") || !strings.Contains(body, "2 tries") {
			t.Errorf("h2 %v: %d %v %q", h2, response.StatusCode, response.Header, body)
		}
	}
}

func TestGRPCError_IsAGRPCStatusNeverABare503(t *testing.T) {
	address, _, _ := proxied(t, "grpc://"+kittest.FreeAddress(t))
	r, _ := http.NewRequest("POST", "http://"+address+"/pkg.Service/Method", strings.NewReader("\x00\x00\x00\x00\x00"))
	r.Header.Set("Content-Type", "application/grpc")
	response, err := client(t, true).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 || response.Header.Get("Grpc-Status") != "14" || !strings.Contains(response.Header.Get("Grpc-Message"), "connection refused") {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
}

// The case of golang/go#80085: a server that ends the call while the client still holds its side open.
func TestGRPC_TrailersArriveBeforeTheRequestBodyEnds(t *testing.T) {
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.WriteHeader(200)
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "5")
	}), false, true)
	_, host, _ := strings.Cut(s.URL, "://")
	address, _, _ := proxied(t, "grpc://"+host)
	body, hold := io.Pipe()
	defer hold.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "POST", "http://"+address+"/s/m", body)
	r.Header.Set("Content-Type", "application/grpc")
	response, err := client(t, true).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(response.Body); err != nil || response.Trailer.Get("Grpc-Status") != "5" {
		t.Errorf("trailers %v, %v", response.Trailer, err)
	}
}

func TestRetry_OnlyWhatIsSafe(t *testing.T) {
	var calls atomic.Int64
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1)%2 == 1 {
			w.WriteHeader(503)
		}
	}), false, false)
	address, _, _ := proxied(t, s.URL)
	for _, row := range []struct {
		h2     bool
		method string
		want   int
	}{{false, "GET", 200}, {true, "GET", 200}, {false, "POST", 503}, {true, "POST", 503}} {
		calls.Store(0)
		if response, _ := do(t, client(t, row.h2), row.method, "http://"+address+"/", "x"); response.StatusCode != row.want {
			t.Errorf("%+v: %d after %d calls", row, response.StatusCode, calls.Load())
		}
	}
}

func TestStaleConnections_NeverSurface(t *testing.T) {
	s := server(t, http.HandlerFunc(echo), false, false)
	s.Config.IdleTimeout = 20 * time.Millisecond
	address, _, _ := proxied(t, s.URL)
	for _, h2 := range []bool{false, true} {
		c := client(t, h2)
		for range 20 {
			if response, body := do(t, c, "POST", "http://"+address+"/", "x"); response.StatusCode != 200 {
				t.Fatalf("h2 %v: %d %s", h2, response.StatusCode, body)
			}
			s.CloseClientConnections() // as a server that has had enough of idle ones
		}
	}
}

func TestSIGTERM_WhileTheAppStillCallsIsServed(t *testing.T) {
	s := server(t, http.HandlerFunc(echo), false, false)
	address, _, p := proxied(t, s.URL, "--drain-quiet", "300ms")
	c := client(t, false)
	do(t, c, "GET", "http://"+address+"/", "")
	p.Signal(syscall.SIGTERM)
	for range 10 {
		if response, _ := do(t, c, "GET", "http://"+address+"/farewell", ""); response.StatusCode != 200 || response.Close {
			t.Errorf("after SIGTERM: %d, close %v", response.StatusCode, response.Close)
		}
	}
	if code := p.Wait(10 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestBalance_SpreadsOverAllAddressesAndLeavesTheDeadOne(t *testing.T) {
	var hits [2]atomic.Int64
	hosts := []string{kittest.FreeAddress(t)}
	for i := range hits {
		s := server(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits[i].Add(1) }), false, false)
		hosts = append(hosts, strings.TrimPrefix(s.URL, "http://"))
	}
	address, admin, _ := proxied(t, "http://"+strings.Join(hosts, ",")+"?balance=round_robin")
	c := client(t, false)
	for range 90 {
		if response, body := do(t, c, "POST", "http://"+address+"/", "x"); response.StatusCode != 200 {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
	}
	if hits[0].Load() < 20 || hits[1].Load() < 20 {
		t.Errorf("shares %d and %d of 90", hits[0].Load(), hits[1].Load())
	}
	_, metrics := kittest.Get("http://" + admin + "/metrics")
	if !strings.Contains(metrics, `ambassador_endpoint_ejections_total{reason="consecutive_failures"`) {
		t.Error("the dead endpoint was not ejected")
	}
}

func TestReload_KeepsConnectionsAndFollowsRoutes(t *testing.T) {
	one := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "one") }), false, false)
	two := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "two") }), false, false)
	file := filepath.Join(t.TempDir(), "c.yaml")
	address, admin := kittest.FreeAddress(t), kittest.FreeAddress(t)
	write := func(to string) {
		text := fmt.Sprintf("listeners: [{address: %q, to: %s}]\nupstreams:\n  one: {url: %q}\n  two: {url: %q}\n", address, to, one.URL, two.URL)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	kittest.Start(t, nil, "ambassador-proxy", "--admin-address", admin, "--config", file).WaitReady(admin)
	stop := make(chan struct{})
	var load sync.WaitGroup
	c := client(t, false)
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			response, err := c.Get("http://" + address)
			if err != nil || response.StatusCode != 200 {
				t.Errorf("during the reload: %v %v", response, err)
				return
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	})
	write("two")
	kittest.Eventually(t, 10*time.Second, func() bool { _, body := kittest.Get("http://" + address); return body == "two" }, "the new route")
	close(stop)
	load.Wait()
}

func TestInjectedCredentials_ReplaceTheAppsAndRotate(t *testing.T) {
	s := server(t, http.HandlerFunc(echo), false, false)
	token := filepath.Join(t.TempDir(), "token")
	os.WriteFile(token, []byte("s3cret\n"), 0o600)
	address, _, _ := proxied(t, s.URL+"?bearer=file:"+token)
	seen := func(h2 bool) string {
		r, _ := http.NewRequest("GET", "http://"+address+"/", nil)
		r.Header.Set("Authorization", "Bearer mine")
		r.Header.Set("Connection", "Authorization")
		if h2 {
			r.Header.Del("Connection")
		}
		response, err := client(t, h2).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.Header.Get("X-Auth")
	}
	for _, h2 := range []bool{false, true} {
		if got := seen(h2); got != "Bearer s3cret" {
			t.Errorf("h2 %v: the upstream saw %q", h2, got)
		}
	}
	if err := os.WriteFile(token, []byte("rotated"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, h2 := range []bool{false, true} {
		kittest.Eventually(t, 10*time.Second, func() bool { return seen(h2) == "Bearer rotated" }, "the rotated secret")
	}
}
