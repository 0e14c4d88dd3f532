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
		p := New([]string{row.allow}, nil)
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
	for _, ip := range []string{"127.0.0.1", "::1", "169.254.169.254", "fe80::1", "fd00:ec2::254", "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "0.0.0.0", "64:ff9b::a9fe:a9fe"} {
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

func TestForward_TunnelsAndForwardsWhatIsAllowed(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.RequestURI, r.Header.Get("Proxy-Authorization"))
	}))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := New([]string{host}, nil)
	defer p.Close()
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.Serve(c)
		}
	}()
	for _, row := range []struct{ send, status, body string }{
		{"GET " + s.URL + "/a HTTP/1.1\r\nHost: " + host + "\r\nProxy-Authorization: x\r\n\r\n", "200", "/a "},
		{"CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\n\r\nGET /b HTTP/1.0\r\nHost: x\r\n\r\n", "200", "/b "},
		{"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n", "403", "destination not allowed"},
		{"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "400", "absolute"},
		{"GET http://u:p@" + host + "/ HTTP/1.1\r\nHost: x\r\n\r\n", "400", "absolute"},
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, row.send)
		answer, _ := io.ReadAll(bufio.NewReader(c))
		c.Close()
		if !strings.HasPrefix(string(answer), "HTTP/1.1 "+row.status) || !strings.Contains(string(answer), row.body) {
			t.Errorf("%q\nanswered %q", row.send, answer)
		}
	}
}
