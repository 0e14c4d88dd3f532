package layer7

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// answering is an upstream that reads a head and sends raw, keeping the connection open.
func answering(t *testing.T, raw string) *address {
	return upstream(t, func(c net.Conn, r *bufio.Reader) {
		for head(r) != "" {
			if _, err := io.WriteString(c, raw); err != nil {
				return
			}
		}
	})
}

func TestH1_RelaysAnswersWithAndWithoutABody(t *testing.T) {
	for _, c := range []struct{ name, method, answer, want string }{
		{"HEAD with a length", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"},
		{"chunked with a trailer", "GET", "HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: 1\r\n\r\n"},
		{"103 before", "GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			up := answering(t, c.answer)
			_, addr := engine(t, poolOf(up))
			for range 2 {
				if got := talk(t, addr, c.method+" / HTTP/1.1\r\nHost: a\r\n"+closing); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
			if n := up.dialed(); n != 1 {
				t.Errorf("%d upstream connections, want 1", n)
			}
		})
	}
}

func TestH1_BadAnswersAre502AndBlamedOnTheUpstream(t *testing.T) {
	for name, raw := range map[string]string{
		"length and encoding": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"not HTTP":            "SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n",
		"unsolicited 101":     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
		"endless 1xx":         strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 20),
		"endless head":        "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10),
		"bad first chunk":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			up := answering(t, raw)
			_, addr := engine(t, poolOf(up))
			got := talk(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n"+closing)
			if !strings.Contains(got, "HTTP/1.1 502 Bad Gateway\r\n") || !strings.Contains(got, "X-Ambassador-Error: upstream_bad_response\r\n") {
				t.Errorf("%.300q", got)
			}
			if o := up.last(); o.Reason != reason.UpstreamBadResponse {
				t.Errorf("reported %+v", o)
			}
		})
	}
}

func TestH1_AnAnswerCutShortNeverLooksWhole(t *testing.T) {
	for name, raw := range map[string]string{
		"length":    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"chunked":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"bad chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			up := upstream(t, func(c net.Conn, r *bufio.Reader) {
				head(r)
				io.WriteString(c, raw)
				if name == "bad chunk" {
					r.WriteTo(io.Discard) // until the proxy has had enough of it
				}
			})
			_, addr := engine(t, poolOf(up))
			c := dial(t, addr)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if name == "bad chunk" {
				return
			}
			if err == nil {
				_, err = io.ReadAll(res.Body)
			}
			if err == nil {
				t.Error("the client took a truncated answer for the whole")
			}
		})
	}
}

func TestH1_BytesAfterAnAnswerKillTheUpstreamConnection(t *testing.T) {
	up := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
	_, addr := engine(t, poolOf(up))
	for range 3 {
		if got := talk(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n"+closing); !strings.HasSuffix(got, "\r\n\r\nok") {
			t.Fatalf("%q", got)
		}
	}
	if n := up.dialed(); n != 3 {
		t.Errorf("%d connections for three requests: a poisoned one was reused", n)
	}
}

func TestH1_AnAnswerMayComeBeforeTheRequestEnds(t *testing.T) {
	up := upstream(t, func(c net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(c, "HTTP/1.1 413 Too Big\r\nContent-Length: 3\r\n\r\nbig")
	})
	_, addr := engine(t, poolOf(up))
	got := talk(t, addr, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\npart")
	if want := "HTTP/1.1 413 Too Big\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestH1_Expect100GoesBothWays(t *testing.T) {
	up := upstream(t, func(c net.Conn, r *bufio.Reader) {
		h := head(r)
		if strings.HasPrefix(h, "POST /no") {
			io.WriteString(c, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
			return
		}
		if !strings.Contains(h, "Expect: 100-continue\r\n") {
			t.Errorf("upstream got %q", h)
		}
		io.WriteString(c, "HTTP/1.1 100 Go on\r\n\r\n")
		body := make([]byte, 5)
		io.ReadFull(r, body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%s", body)
	})
	_, addr := engine(t, poolOf(up))
	c := dial(t, addr)
	r := bufio.NewReader(c)
	io.WriteString(c, "POST /yes HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if got := head(r); got != "HTTP/1.1 100 Go on\r\n\r\n" {
		t.Fatalf("%q", got)
	}
	io.WriteString(c, "hello")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(res.Body); string(b) != "hello" || res.Close {
		t.Errorf("%q, close %v", b, res.Close)
	}
	waitClosed(t, up) // a POST that meets a connection which is just closing must not be sent again
	io.WriteString(c, "POST /no HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 417 No\r\n") || !strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("%q", got)
	}
}

func TestH1_AWebSocketTunnelsBothWaysAndHalfCloses(t *testing.T) {
	up := upstream(t, func(c net.Conn, r *bufio.Reader) {
		h := head(r)
		if !strings.Contains(h, "Upgrade: websocket\r\n") || !strings.Contains(h, "Connection: upgrade\r\n") {
			t.Errorf("upstream got %q", h)
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst:")
		io.Copy(c, r)
		io.WriteString(c, ":last")
	})
	_, addr := engine(t, poolOf(up))
	c := dial(t, addr)
	io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\nearly ")
	r := bufio.NewReader(c)
	if got := head(r); got != "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" {
		t.Fatalf("%q", got)
	}
	big := strings.Repeat("x", 1<<20)
	go func() {
		io.WriteString(c, big)
		c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(r)
	if want := "first:early " + big + ":last"; err != nil || string(got) != want {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
	}
}

func TestH1_OnlyListedProtocolsAreUpgraded(t *testing.T) {
	got := make(chan string, 2)
	up := upstream(t, func(c net.Conn, r *bufio.Reader) {
		for h := head(r); h != ""; h = head(r) {
			got <- h
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	p := poolOf(up)
	p.settings.Upgrade = []string{"spdy"}
	_, addr := engine(t, p)
	talk(t, addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\n\r\n")
	if h := <-got; h != "GET / HTTP/1.1\r\nHost: a\r\n\r\n" {
		t.Errorf("h2c was forwarded: %q", h)
	}
	talk(t, addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: SPDY\r\n\r\n")
	if h := <-got; h != "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: SPDY\r\nConnection: upgrade\r\n\r\n" {
		t.Errorf("a listed one was not: %q", h)
	}
}

func TestH1_ServesHTTP10(t *testing.T) {
	up := webserver(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		fmt.Fprintf(w, "%s %s", r.Proto, r.Host)
	})
	p := poolOf(up)
	p.settings.Host = "api"
	_, addr := engine(t, p)
	got := talk(t, addr, "GET / HTTP/1.0\r\n\r\n")
	if !strings.HasSuffix(got, "Connection: close\r\n\r\nHTTP/1.0 api") {
		t.Errorf("%q", got)
	}
	c := dial(t, addr)
	r := bufio.NewReader(c)
	for range 2 {
		io.WriteString(c, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
	}
}

func TestH1_SpeaksTLSAndUnixToTheUpstream(t *testing.T) {
	hello := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	}
	secure := httptest.NewTLSServer(http.HandlerFunc(hello))
	defer secure.Close()
	a := at("tcp", secure.Listener.Addr().String())
	a.tls = secure.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	a.tls.ServerName = "example.com"
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: http.HandlerFunc(hello)}
	go local.Serve(ln)
	defer local.Close()
	bad := at("tcp", a.addr)
	bad.tls = &tls.Config{ServerName: "example.com"}
	big := strings.Repeat("y", 200<<10)
	for _, up := range []*address{a, at("unix", path)} {
		_, addr := engine(t, poolOf(up))
		c := dial(t, addr)
		r := bufio.NewReader(c)
		for range 3 {
			go fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(big), big)
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(res.Body); string(b) != big {
				t.Fatalf("%d bytes, %v", len(b), err)
			}
		}
		if n := up.dialed(); n != 1 {
			t.Errorf("%d connections to %s", n, up.addr)
		}
	}
	_, addr := engine(t, poolOf(bad))
	if got := talk(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n"+closing); !strings.Contains(got, "X-Ambassador-Error: tls_verify_failed\r\n") {
		t.Errorf("%q", got)
	}
}

func TestH1_HandsOverWhatARouteAsksFor(t *testing.T) {
	other := make(chan string, 1)
	_, addr := engine(t, poolOf(), func(c *H1Config) {
		c.Route = handover{}
		c.Other = func(n net.Conn) {
			b := make([]byte, 64)
			k, _ := n.Read(b)
			other <- string(b[:k])
			n.Close()
		}
	})
	const raw = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
	c := dial(t, addr)
	io.WriteString(c, raw)
	select {
	case got := <-other:
		if got != raw {
			t.Errorf("handed over %q, want %q", got, raw)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it was not handed over")
	}
}

type handover struct{}

func (handover) Match(*Request) Decision { return Decision{Handover: true} }
