package layer4

import (
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func TestJoin_SaysWhatBrokeAConnectionOff(t *testing.T) {
	for _, row := range []struct {
		name string
		idle time.Duration
		end  func(app, server net.Conn)
		want reason.Reason
	}{
		{"both end", 0, func(app, server net.Conn) { app.(*net.TCPConn).CloseWrite(); server.(*net.TCPConn).CloseWrite() }, reason.OK},
		{"the app resets", 0, func(app, _ net.Conn) { reset(app) }, reason.ClientAborted},
		{"the upstream resets", 0, func(_, server net.Conn) { reset(server) }, reason.UpstreamReset},
		{"nothing moves", time.Millisecond, func(net.Conn, net.Conn) {}, reason.UpstreamTimeoutIdle},
	} {
		t.Run(row.name, func(t *testing.T) {
			app, near := pair(t)
			far, server := pair(t)
			done := make(chan reason.Reason)
			go func() { _, _, why := Join(near, far, row.idle); done <- why }()
			row.end(app, server)
			if why := <-done; why != row.want {
				t.Errorf("%v, want %v", why, row.want)
			}
		})
	}
}

func TestJoin_AResetIsNoCleanEndToAnUpstreamWithTLS(t *testing.T) {
	app, near := pair(t)
	far, server := pair(t)
	keys := httptest.NewTLSServer(nil)
	defer keys.Close()
	upstream := tls.Server(server, &tls.Config{Certificates: keys.TLS.Certificates})
	done := make(chan reason.Reason)
	go func() {
		_, _, why := Join(near, tls.Client(far, &tls.Config{InsecureSkipVerify: true}), 0)
		done <- why
	}()
	if _, err := app.Write([]byte("half of it")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("half of it"))
	if _, err := io.ReadFull(upstream, got); err != nil {
		t.Fatal(err)
	}
	reset(app)
	if n, err := upstream.Read(got); err == io.EOF {
		t.Errorf("the upstream read %d bytes, and then a clean end", n)
	}
	if why := <-done; why != reason.ClientAborted {
		t.Error(why)
	}
}
