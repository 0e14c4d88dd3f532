package forward

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestDial_AnAddressThatSwallowsEverythingDoesNotUseUpTheTimeOfTheNext(t *testing.T) {
	_, port, _ := net.SplitHostPort(kittest.DeafAddress(t))
	l, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := New([]string{"127.0.0.0/8:*"}, Settings{})
	defer p.Close()
	p.resolve = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}, nil
	}
	c, err := p.dial(t.Context(), "two.example.com:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().String(); got != "127.0.0.2:"+port {
		t.Error(got)
	}
}

func TestTunnel_AResetOfTheDestinationIsNoCleanEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	read := make(chan struct{})
	serving := make(chan struct{})
	go func() {
		defer close(serving)
		c, err := l.Accept()
		if err != nil {
			return
		}
		io.WriteString(c, "half of it")
		<-read
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}()
	_, address := proxied(t, Settings{}, l.Addr().String())
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "CONNECT "+l.Addr().String()+" HTTP/1.1\r\nHost: x\r\n\r\n")
	want := "HTTP/1.1 200 Connection established\r\n\r\nhalf of it"
	if got, err := io.ReadAll(io.LimitReader(c, int64(len(want)))); err != nil || string(got) != want {
		t.Errorf("%q %v", got, err)
	}
	close(read)
	if n, err := c.Read(make([]byte, 1)); err == io.EOF {
		t.Errorf("the app read %d bytes, and then a clean end", n)
	}
	<-serving
}
