package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/proxy"
	"golang.org/x/sys/unix"

	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// userTimeout ends a connection whose bytes nobody acknowledges.
const userTimeout = 20 * time.Second

// dialer makes connections to endpoints: straight or via a proxy, plain.
type dialer struct {
	via     *url.URL
	timeout time.Duration
	rival   func(address string) string // a well endpoint of the other family, or ""
}

// plain connects to host:port or unix:/path.
func (d *dialer) plain(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	if d.via != nil {
		c, err := d.through(ctx, address)
		if err != nil {
			return nil, &reason.Error{Reason: reason.ViaFailed, Err: fmt.Errorf("via %s: %w", d.via.Host, err)}
		}
		return c, nil
	}
	c, err := d.race(ctx, address)
	if _, known := errors.AsType[*reason.Error](err); !known && reason.OfDial(err) == reason.ConnectTimeout { // the socket's deadline may be earlier than the context's word
		return nil, &reason.Error{Reason: reason.ConnectTimeout, Err: fmt.Errorf("dial %s: no connection within %s (connect_timeout)", address, d.timeout)}
	}
	if err == nil {
		setUserTimeout(c)
	}
	return c, err
}

// raceDelay is the Connection Attempt Delay of RFC 8305, section 8.
const raceDelay = 250 * time.Millisecond

// race connects to address. When that takes long, and an endpoint of the other family connects first, this attempt ends: the
// request is tried again, and the address counts as one that does not answer. Every address is an endpoint with its own
// connections, so the winner's is only proof.
func (d *dialer) race(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	timer := time.AfterFunc(raceDelay, func() {
		defer close(done)
		other := d.rival(address)
		if other == "" {
			return
		}
		if c, err := keepAlive().DialContext(ctx, "tcp", other); err == nil {
			c.Close()
			cancel(&reason.Error{Reason: reason.ConnectTimeout, Err: fmt.Errorf("dial %s: no connection within %s, and %s connects", address, raceDelay, other)})
		}
	})
	c, err := keepAlive().DialContext(ctx, "tcp", address)
	cancel(nil)
	if !timer.Stop() {
		<-done
	}
	if overtaken, ok := errors.AsType[*reason.Error](context.Cause(ctx)); ok && err != nil {
		return nil, overtaken
	}
	return c, err
}

func keepAlive() *net.Dialer {
	return &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 4}}
}

func setUserTimeout(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		if raw, err := t.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
			})
		}
	}
}

// firstHop connects to a proxy, and keeps the connection: what the SOCKS client gives is wrapped, and nobody would see that it
// has ended while it was idle.
type firstHop struct {
	*net.Dialer
	conn net.Conn
}

// DialContext is proxy.ContextDialer.
func (h *firstHop) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := h.Dialer.DialContext(ctx, network, address)
	if err == nil {
		setUserTimeout(c)
	}
	h.conn = c
	return c, err
}

func (d *dialer) through(ctx context.Context, address string) (net.Conn, error) {
	hop := &firstHop{Dialer: keepAlive()}
	if d.via.Scheme == "socks5" {
		p, err := proxy.FromURL(d.via, hop)
		if err == nil {
			_, err = p.(proxy.ContextDialer).DialContext(ctx, "tcp", address)
		}
		if err != nil {
			return nil, err
		}
		return hop.conn, nil
	}
	c, err := hop.DialContext(ctx, "tcp", d.via.Host)
	if err != nil {
		return nil, err
	}
	if d.via.Scheme == "https" {
		tlsfile.EmbedRoots()
		secured := tls.Client(c, &tls.Config{ServerName: d.via.Hostname()})
		if err := secured.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		c = secured
	}
	if err := connect(ctx, c, d.via, address); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// connect asks an HTTP proxy for a tunnel (RFC 9110, 9.3.6).
func connect(ctx context.Context, c net.Conn, via *url.URL, address string) error {
	if t, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(t)
		defer c.SetDeadline(time.Time{})
	}
	auth := ""
	if via.User != nil {
		password, _ := via.User.Password()
		auth = "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(via.User.Username()+":"+password)) + "\r\n"
	}
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", address, address, auth); err != nil {
		return err
	}
	// One byte at a time: what follows the head belongs to the tunnel.
	head, err := readHead(c)
	if err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head)), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return errors.New("CONNECT answered " + response.Status)
	}
	return nil
}

const maxConnectHead = 16 << 10

func readHead(c net.Conn) (string, error) {
	var b strings.Builder
	one := make([]byte, 1)
	for b.Len() < maxConnectHead {
		if _, err := c.Read(one); err != nil {
			return "", err
		}
		b.WriteByte(one[0])
		if one[0] == '\n' && strings.HasSuffix(b.String(), "\r\n\r\n") {
			return b.String(), nil
		}
	}
	return "", errors.New("the answer to CONNECT has no end")
}

func lateHandshake(timeout time.Duration) error {
	return &reason.Error{Reason: reason.ConnectTimeout, Err: fmt.Errorf("TLS handshake: not done within %s (tls_timeout)", timeout)}
}

// secure does the TLS handshake on c, and closes c if that fails.
func secure(ctx context.Context, c net.Conn, config *tls.Config, timeout time.Duration) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := tls.Client(layer7.BelowTLS(c), config)
	err := t.HandshakeContext(ctx)
	if err == nil {
		return t, nil
	}
	c.Close()
	if ctx.Err() == context.DeadlineExceeded {
		return nil, lateHandshake(timeout)
	}
	if reason.OfDial(err) != reason.TLSVerifyFailed {
		return nil, &reason.Error{Reason: reason.TLSHandshakeFailed, Err: err}
	}
	return nil, err
}
