package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestBothEngines_CutAnAnswerThatIsShorterThanItSays(t *testing.T) {
	url := raw(t, func(path string) string {
		if path == "/chunked" {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"
		}
		return "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
	})
	addresses, _ := bothEngines(t, url+"?idle_timeout=500ms", "")
	for engine, address := range addresses {
		for _, path := range []string{"/length", "/chunked"} {
			response, err := client(t, false).Get("http://" + address + path)
			if err != nil {
				continue // nothing of it was passed on
			}
			if body, err := io.ReadAll(response.Body); err == nil && response.StatusCode != 502 {
				t.Errorf("%s, %s: %q looks whole", engine, path, body)
			}
			response.Body.Close()
		}
	}
}

func TestBothEngines_BytesAfterAnAnswerReachNobody(t *testing.T) {
	url := raw(t, func(path string) string {
		answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path)
		if path == "/poison" {
			answer += "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
		}
		return answer
	})
	addresses, _ := bothEngines(t, url, "")
	for engine, address := range addresses {
		c := client(t, false)
		for i := range 20 {
			path := fmt.Sprintf("/%d", i)
			if i%2 == 0 {
				path = "/poison"
			}
			if _, body := do(t, c, "GET", "http://"+address+path, ""); body != path {
				t.Fatalf("%s: %s was answered %q", engine, path, body)
			}
		}
	}
}

func TestBothEngines_BytesThatComeLateAfterAnAnswerReachNobody(t *testing.T) {
	const good, evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	passed, written := make(chan struct{}), make(chan struct{})
	host := kittest.Serve(t, func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			_, _ = io.WriteString(c, good)
			if _, open := <-passed; !open {
				return
			}
			_, _ = io.WriteString(c, evil)
			written <- struct{}{}
		}
	})
	t.Cleanup(func() { close(passed) })
	addresses, _ := bothEngines(t, "http://"+host, "")
	for engine, address := range addresses {
		for range 10 {
			if _, body := do(t, client(t, false), "GET", "http://"+address, ""); body != "good" {
				t.Fatalf("%s: a request was answered %q", engine, body)
			}
			passed <- struct{}{}
			<-written
		}
	}
}

func TestBothEngines_DropTheAppsCopiesOfInjectedFieldsInEveryForm(t *testing.T) {
	got := make(chan http.Header, 1)
	s := server(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }), false, false)
	fast, std := kittest.FreeAddress(t), kittest.FreeAddress(t)
	configured(t, fmt.Sprintf(`
listeners: [{address: %q, to: fast}, {address: %q, to: std}]
upstreams:
  fast: {url: %[3]q, headers: {set: {x-tenant: ours}, remove: [x-debug]}}
  std: {url: %[3]q, headers: {set: {x-tenant: ours}, remove: [x-debug]}, fault: {percent: 0}}
`, fast, std, s.URL))
	for engine, address := range map[string]string{"HTTP/1.1 engine": fast, "net/http engine": std} {
		c := dialed(t, address)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Tenant\r\nX-Tenant: 1\r\nx_tenant: 2\r\nX-TENANT: 3\r\nX_Debug: 1\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		if h := <-got; len(h) != 1 || len(h["X-Tenant"]) != 1 || h.Get("X-Tenant") != "ours" {
			t.Errorf("%s: the upstream saw %v", engine, h)
		}
	}
}

func TestOptions_OfTheWholeServerAreTheUpstreamsToAnswer(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		seen := make(chan string, 1)
		s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen <- r.Method + " " + r.RequestURI
			w.WriteHeader(204)
		}), false, h2)
		s.Config.DisableGeneralOptionsHandler = true
		scheme := map[bool]string{false: "http", true: "h2c"}[h2]
		address, _, _ := proxied(t, scheme+strings.TrimPrefix(s.URL, "http"))
		c := dialed(t, address)
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(c, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || response.StatusCode != 204 {
			t.Errorf("%s: %+v %v", scheme, response, err)
			continue
		}
		if got := <-seen; got != "OPTIONS *" {
			t.Errorf("%s: the upstream was asked %q", scheme, got)
		}
	}
}

// An app's copy that stayed would come first, and be what the upstream believes.
func TestBothEngines_DropTheAppsCopiesOfAFieldThatIsConfiguredWithAnUnderscore(t *testing.T) {
	got := make(chan http.Header, 1)
	see := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	one, two := server(t, see, false, false), server(t, see, false, true)
	fast, std, joined := kittest.FreeAddress(t), kittest.FreeAddress(t), kittest.FreeAddress(t)
	configured(t, fmt.Sprintf(`
listeners: [{address: %q, to: fast}, {address: %q, to: std}, {address: %q, to: joined}]
upstreams:
  fast: {url: %q, headers: {set: {X_Tenant: ours}, remove: [x_debug]}}
  std: {url: %[4]q, headers: {set: {X_Tenant: ours}, remove: [x_debug]}, fault: {percent: 0}}
  joined: {url: "h2c://%s", headers: {set: {X_Tenant: ours}, remove: [x_debug]}}
`, fast, std, joined, one.URL, strings.TrimPrefix(two.URL, "http://")))
	for engine, address := range map[string]string{"HTTP/1.1 engine": fast, "net/http engine": std, "HTTP/2 to HTTP/2": joined} {
		r, _ := http.NewRequest("GET", "http://"+address, nil)
		for _, name := range []string{"X_Tenant", "X-Tenant", "X_Debug", "X-Debug"} {
			r.Header[name] = []string{"theirs"}
		}
		response, err := client(t, address == joined).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		h := <-got
		for name, values := range h {
			if name = strings.ToLower(strings.ReplaceAll(name, "_", "-")); name == "x-debug" || name == "x-tenant" && (len(values) != 1 || values[0] != "ours") {
				t.Errorf("%s: the upstream saw %v", engine, h)
			}
		}
	}
}

func TestBothEngines_SayWhichTimerOfAConnectionFired(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and never shakes hands
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mute.Close() })
	for _, row := range []struct{ url, timer string }{
		{"http://" + kittest.DeafAddress(t) + "?connect_timeout=200ms&retry=off", "connect_timeout"},
		{"https://" + mute.Addr().String() + "?tls_timeout=200ms&retry=off", "tls_timeout"},
	} {
		address, _, _ := proxied(t, row.url)
		for _, h2 := range []bool{false, true} {
			response, body := do(t, client(t, h2), "GET", "http://"+address+"/", "")
			if response.StatusCode != 504 || response.Header.Get("X-Ambassador-Error") != "connect_timeout" || !strings.Contains(body, row.timer) {
				t.Errorf("%s, h2 %v: %d %v %s", row.timer, h2, response.StatusCode, response.Header, body)
			}
		}
	}
}
