package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/peek"
)

// socks5 agrees to one connection, and is its destination itself.
func socks5(c net.Conn) error {
	for _, step := range []struct {
		read   int
		answer string
	}{{3, "\x05\x00"}, {10, "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01"}} {
		if _, err := io.ReadFull(c, make([]byte, step.read)); err != nil {
			return err
		}
		if _, err := io.WriteString(c, step.answer); err != nil {
			return err
		}
	}
	return nil
}

// served is the address of a server of one connection.
func served(t *testing.T, serve func(net.Conn) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if err := serve(c); err != nil {
			t.Error(err)
		}
	}()
	return l.Addr().String()
}

func TestVia_TheEndOfAConnectionThroughSOCKS5IsSeenWhileItIsIdle(t *testing.T) {
	d := &dialer{via: &url.URL{Scheme: "socks5", Host: served(t, socks5)}, timeout: 5 * time.Second}
	c, err := d.plain(t.Context(), "10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(n, err)
	}
	var p peek.Peeker
	p.Start(c)
	if gone, _ := p.Look(); !gone {
		t.Error("a connection that has ended looks alive: a request on it would be lost")
	}
}

func TestVia_AnyAnswerOf200sIsATunnelAndThePasswordIsSentAsItIs(t *testing.T) {
	user, password := make(chan string, 1), make(chan string, 1)
	address := served(t, func(c net.Conn) error {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
		u, p, _ := r.BasicAuth()
		user <- u
		password <- p
		_, err = io.WriteString(c, "HTTP/1.1 204 Tunnel\r\n\r\n")
		return err
	})
	via, err := url.Parse("http://me%40home:p%40ss%2Fword@" + address)
	if err != nil {
		t.Fatal(err)
	}
	d := &dialer{via: via, timeout: 5 * time.Second}
	c, err := d.plain(t.Context(), "10.0.0.1:80")
	if err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	if u, p := <-user, <-password; u != "me@home" || p != "p@ss/word" {
		t.Errorf("the proxy was told %q %q", u, p)
	}
}
