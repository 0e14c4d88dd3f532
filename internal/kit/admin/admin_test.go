package admin

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func serve(t *testing.T, p Probe) *httptest.Server {
	t.Helper()
	log, _ := kittest.Logs(t)
	s := New("toy", prometheus.NewRegistry(), log)
	s.routes(p)
	server := httptest.NewServer(s.mux)
	t.Cleanup(server.Close)
	return server
}

func TestReadyz_ListsWhatFailsAndWithVerboseEverything(t *testing.T) {
	checks := []Check{{Name: "listeners", OK: true}, {Name: "config", OK: false, Detail: "not read yet"}}
	server := serve(t, Probe{Ready: func() []Check { return checks }})
	status, body := kittest.Get(server.URL + "/readyz")
	if want := "[-]config failed: not read yet\nnot ready\n"; status != 503 || body != want {
		t.Errorf("%d %q, want %q", status, body, want)
	}
	checks[1].OK = true
	status, body = kittest.Get(server.URL + "/readyz?verbose")
	if want := "[+]listeners ok\n[+]config ok: not read yet\nready\n"; status != 200 || body != want {
		t.Errorf("%d %q, want %q", status, body, want)
	}
}

func TestLivez_NamesTheStuckPart(t *testing.T) {
	server := serve(t, Probe{Live: func() error { return errors.New("output loki: no acknowledgement for 60s") }})
	if status, body := kittest.Get(server.URL + "/livez"); status != 503 || !strings.Contains(body, "output loki") {
		t.Errorf("%d %s", status, body)
	}
}

func TestActions_AreRefusedToOtherHosts(t *testing.T) {
	address := outwardAddress(t)
	log, _ := kittest.Logs(t)
	s := New("toy", prometheus.NewRegistry(), log)
	s.routes(Probe{Quit: func() { t.Error("somebody else stopped the helper") }})
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s.mux)
	server.Listener = l
	server.Start()
	defer server.Close()
	response, err := http.Post(server.URL+"/-/quit", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("status %d, want 403", response.StatusCode)
	}
}

// outwardAddress is an address of this machine that is not loopback: a connection to it comes from it.
func outwardAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this machine has loopback only")
	return ""
}

func TestServer_BoundsItsClients(t *testing.T) {
	log, _ := kittest.Logs(t)
	h := New("toy", prometheus.NewRegistry(), log).http
	if h.ReadHeaderTimeout == 0 || h.ReadTimeout == 0 || h.WriteTimeout == 0 || h.IdleTimeout == 0 || h.MaxHeaderBytes != 64<<10 {
		t.Errorf("a limit is missing: %+v", h)
	}
}

// The kubelet kills a helper whose probe gets no answer.
func TestServer_AnswersThoughOthersHoldEveryConnection(t *testing.T) {
	log, _ := kittest.Logs(t)
	s := New("toy", prometheus.NewRegistry(), log)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l, Probe{Live: func() error { return nil }}) }()
	held := make([]net.Conn, maxConnections)
	for i := range held {
		if held[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer held[i].Close()
		if _, err := io.WriteString(held[i], "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := held[i].Read(make([]byte, 512)); err != nil {
			t.Fatal(err)
		}
	}
	if status, body := kittest.Get("http://" + l.Addr().String() + "/livez"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if n, err := io.Copy(io.Discard, held[0]); err != nil {
		t.Errorf("the connection that was silent for longest is not closed: %d bytes, %v", n, err)
	}
	_ = s.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestDebug_ServesProfilesToLoopback(t *testing.T) {
	log, _ := kittest.Logs(t)
	s := New("toy", prometheus.NewRegistry(), log)
	s.EnableDebug()
	server := httptest.NewServer(s.mux)
	defer server.Close()
	for path, want := range map[string]int{"goroutine?debug=1": 200, "heap": 200, "profile?seconds=1": 200, "nonsense": 404} {
		if status, body := kittest.Get(server.URL + "/debug/pprof/" + path); status != want || body == "" {
			t.Errorf("%s: %d with %d bytes, want %d", path, status, len(body), want)
		}
	}
	if _, body := kittest.Get(server.URL + "/debug/pprof/"); !strings.Contains(body, "goroutine") {
		t.Errorf("whoever asks for no profile is not told which there are: %q", body)
	}
}
