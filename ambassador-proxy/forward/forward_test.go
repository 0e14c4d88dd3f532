package forward

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDial_RefusesWhatIsInsideUnlessItIsAllowedByAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, row := range []struct {
		allow, host string
		ok          bool
	}{
		{"evil.example.com:*", "evil.example.com", false}, // resolves to loopback
		{"*.example.com:*", "a.example.com", false},
		{"127.0.0.0/8:*", "evil.example.com", true},
		{"127.0.0.1:" + port, "127.0.0.1", true},
		{"127.0.0.1:1", "127.0.0.1", false}, // another port
		{"*.example.com:*", "127.0.0.1", false},
		{"*.example.com:*", "::ffff:127.0.0.1", false},
		{"127.0.0.0/8:*", "::ffff:127.0.0.1", true}, // unmapped before the check
		{"*.example.com:*", "example.com", false},
		{"*.example.com:*", "notexample.com", false},
	} {
		p := New([]string{row.allow}, Settings{})
		p.resolve = func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		c, err := p.dial(t.Context(), net.JoinHostPort(row.host, port))
		if c != nil {
			c.Close()
		}
		if (err == nil) != row.ok {
			t.Errorf("allow %s, dial %s: %v", row.allow, row.host, err)
		}
		if err != nil && reason.OfDial(err) != reason.Forbidden {
			t.Errorf("allow %s, dial %s: reason %v", row.allow, row.host, reason.OfDial(err))
		}
		p.Close()
	}
}

func TestInternal_CoversMetadataAndPrivateRanges(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1", "169.254.169.254", "fe80::1", "fd00:ec2::254", "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "0.0.0.0", "64:ff9b::a9fe:a9fe",
		"64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001:0:1::1", "::7f00:1", "fec0::1", "168.63.129.16", "192.0.0.192", "198.18.0.1", "240.0.0.1", "255.255.255.255"} {
		if !internal(netip.MustParseAddr(ip)) {
			t.Errorf("%s counts as outside", ip)
		}
	}
	for _, ip := range []string{"8.8.8.8", "2606:4700::1"} {
		if internal(netip.MustParseAddr(ip)) {
			t.Errorf("%s counts as inside", ip)
		}
	}
}

// proxied starts a proxy that allows some destinations, and returns its address.
func proxied(t *testing.T, s Settings, allow ...string) (*Proxy, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := New(allow, s)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.Serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.Close()
		serving.Wait()
	})
	return p, l.Addr().String()
}

// site is a server that answers the target and what it must not see, and counts its connections.
func site(t *testing.T) (host string, conns *atomic.Int64) {
	conns = &atomic.Int64{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.RequestURI, r.Host, r.Header.Get("Proxy-Authorization"))
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), conns
}

func TestForward_TunnelsAndForwardsWhatIsAllowed(t *testing.T) {
	host, _ := site(t)
	_, address := proxied(t, Settings{}, host)
	for _, row := range []struct{ send, status, body string }{
		{"GET http://" + host + "/a HTTP/1.1\r\nHost: other\r\nProxy-Authorization: x\r\n\r\n", "200", "/a " + host + " "},
		{"GET HTTP://" + host + "?q HTTP/1.1\r\nHost: other\r\n\r\n", "200", "/?q " + host + " "},
		{"CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\n\r\nGET /b HTTP/1.0\r\nHost: x\r\n\r\n", "200", "/b x "},
		{"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n", "403", "destination not allowed"},
		{"GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: x\r\n\r\n", "403", "destination not allowed"},
		{"GET /a HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "400", "absolute"},
		{"GET https://" + host + "/ HTTP/1.1\r\nHost: x\r\n\r\n", "400", "absolute"},
		{"GET http://u:p@" + host + "/ HTTP/1.1\r\nHost: x\r\n\r\n", "400", ""},
		{"GET http://" + host + "/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400", ""},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505", "HTTP/2"},
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, row.send)
		c.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(c)
		c.Close()
		if !strings.HasPrefix(string(answer), "HTTP/1.1 "+row.status) || !strings.Contains(string(answer), row.body) {
			t.Errorf("%q\nanswered %q", row.send, answer)
		}
	}
}

func TestForward_KeepsConnectionsOfBothSidesAlive(t *testing.T) {
	one, oneConns := site(t)
	two, twoConns := site(t)
	_, address := proxied(t, Settings{}, one, two)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for i := range 6 { // by turns to both, then refused, then again
		host := []string{one, two, "127.0.0.1:1"}[i%3]
		fmt.Fprintf(c, "GET http://%s/%d HTTP/1.1\r\nHost: x\r\n\r\n", host, i)
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		body, _ := io.ReadAll(response.Body)
		want := map[bool]string{true: fmt.Sprintf("/%d %s ", i, host), false: "403 upstream 127.0.0.1:1"}[i%3 < 2]
		if response.Close || !strings.HasPrefix(string(body), want) {
			t.Errorf("request %d: close %v, %q", i, response.Close, body)
		}
	}
	if oneConns.Load() != 1 || twoConns.Load() != 1 {
		t.Errorf("%d and %d connections to the two destinations", oneConns.Load(), twoConns.Load())
	}
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", one) // after plain requests, on the same connection
	response, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("%v %v", response, err)
	}
	fmt.Fprint(c, "GET /in-the-tunnel HTTP/1.1\r\nHost: y\r\n\r\n")
	if response, err = http.ReadResponse(r, nil); err != nil || response.StatusCode != 200 {
		t.Errorf("in the tunnel: %v %v", response, err)
	}
}

func TestForward_ADestinationThatIsForbiddenByAReloadIsNotReachedByAnOpenConnection(t *testing.T) {
	host, _ := site(t)
	p, address := proxied(t, Settings{}, host)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, want := range []int{200, 403} {
		fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", host)
		response, err := http.ReadResponse(r, nil)
		if err != nil || response.StatusCode != want {
			t.Fatalf("%v %v, want %d", response, err, want)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		p.Set([]string{"example.com:443"})
	}
}
