// Package forward is an explicit egress proxy: CONNECT and absolute-form requests to destinations that are allowed, and to
// no others. A name is resolved, checked and dialled as one step, so that what was checked is what is dialled.
package forward

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/listen"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// Proxy serves the connections of one listener. Close it.
type Proxy struct {
	allow   atomic.Pointer[[]config.Allow]
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	ended   func(destination string, why reason.Reason, in, out int64)
	ctx     context.Context
	cancel  context.CancelFunc

	sockets *listen.Sockets
	running sync.WaitGroup
}

// New makes a proxy that reaches what allow names. ended is told of each tunnel; it may be nil.
func New(allow []string, ended func(destination string, why reason.Reason, in, out int64)) *Proxy {
	p := &Proxy{ended: ended, sockets: listen.NewSockets()}
	p.resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.Set(allow)
	return p
}

// Set replaces the allowed destinations for new connections. They have been validated.
func (p *Proxy) Set(allow []string) {
	var all []config.Allow
	for _, s := range allow {
		if a, err := config.ParseAllow(s); err == nil {
			all = append(all, a)
		}
	}
	p.allow.Store(&all)
}

const (
	headTime    = 30 * time.Second
	connectTime = 5 * time.Second
	maxHead     = 64 << 10
)

// Serve handles the one request of a connection and closes it: a plain-HTTP request ends with its answer.
func (p *Proxy) Serve(client net.Conn) {
	p.running.Add(1)
	defer p.running.Done()
	if !p.sockets.Add(client) {
		return
	}
	defer p.sockets.Remove(client)
	_ = client.SetReadDeadline(time.Now().Add(headTime))
	limited := &io.LimitedReader{R: client, N: maxHead}
	reader := bufio.NewReader(limited)
	request, err := http.ReadRequest(reader)
	if err != nil {
		p.refuse(client, "", reason.ClientBadRequest, "not a request to a proxy")
		return
	}
	_ = client.SetReadDeadline(time.Time{})
	limited.N = 1 << 62
	destination, err := destinationOf(request)
	if err != nil {
		p.refuse(client, "", reason.ClientBadRequest, err.Error())
		return
	}
	server, err := p.dial(p.ctx, destination)
	if err != nil {
		p.refuse(client, destination, reason.OfDial(err), err.Error())
		return
	}
	if !p.sockets.Add(server) {
		return
	}
	defer p.sockets.Remove(server)
	if request.Method == http.MethodConnect {
		if _, err = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err == nil {
			p.tunnel(client, server, reader, destination)
		}
		return
	}
	p.exchange(client, server, request, destination)
}

// destinationOf reads authority-form with CONNECT and absolute-form http otherwise (RFC 9112, 3.2). No port is invented for
// CONNECT; credentials and zones are refused.
func destinationOf(r *http.Request) (string, error) {
	if r.Method == http.MethodConnect {
		host, port, err := net.SplitHostPort(r.RequestURI)
		if err != nil || host == "" || port == "" || strings.ContainsAny(host, "@%/") {
			return "", fmt.Errorf("CONNECT wants host:port, not %q", r.RequestURI)
		}
		return net.JoinHostPort(host, port), nil
	}
	u := r.URL
	if u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Contains(u.Host, "%") {
		return "", errors.New("wants CONNECT host:port or an absolute http:// URL")
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// dial resolves, checks and connects to an address that passed the check.
func (p *Proxy) dial(ctx context.Context, destination string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	host, portText, _ := net.SplitHostPort(destination)
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, &reason.Error{Reason: reason.ClientBadRequest, Err: fmt.Errorf("%q is not a port", portText)}
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	named, private := p.named(host, uint16(port))
	addresses := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		addresses = append(addresses, ip)
	} else if named || p.anyRange(uint16(port)) {
		if addresses, err = p.resolve(ctx, host); err != nil {
			return nil, err
		}
	}
	last := error(&reason.Error{Reason: reason.Forbidden, Err: fmt.Errorf("%s is not among the allowed destinations (add it to allow)", destination)})
	for _, ip := range addresses {
		ip = ip.Unmap()
		inRange := p.inRange(ip, uint16(port))
		if !named && !inRange {
			continue
		}
		if internal(ip) && !inRange && !private {
			last = &reason.Error{Reason: reason.Forbidden, Err: fmt.Errorf("%s is %s, an address inside (allow %s:%d to reach it)", destination, ip, ip, port)}
			continue
		}
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", netip.AddrPortFrom(ip, uint16(port)).String())
		if err == nil {
			return c, nil
		}
		last = err
	}
	return nil, last
}

// named tells whether a name or literal address is allowed, and whether that was an address, which may be private.
func (p *Proxy) named(host string, port uint16) (allowed, literal bool) {
	for _, a := range *p.allow.Load() {
		if a.Port != 0 && a.Port != port {
			continue
		}
		if a.Host != "" && a.Host == host {
			_, err := netip.ParseAddr(host)
			return true, err == nil
		}
		if a.Suffix != "" && len(host) > len(a.Suffix) && strings.HasSuffix(host, a.Suffix) {
			allowed = true
		}
	}
	return allowed, false
}

func (p *Proxy) anyRange(port uint16) bool {
	for _, a := range *p.allow.Load() {
		if a.Prefix.IsValid() && (a.Port == 0 || a.Port == port) {
			return true
		}
	}
	return false
}

func (p *Proxy) inRange(ip netip.Addr, port uint16) bool {
	for _, a := range *p.allow.Load() {
		if a.Prefix.IsValid() && (a.Port == 0 || a.Port == port) && a.Prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// internal are addresses that a name of the internet has no business with: loopback, link-local (cloud metadata among
// them), private, shared (RFC 6598), unspecified, multicast.
func internal(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsPrivate() || ip.IsUnspecified() || ip.IsMulticast() ||
		netip.MustParsePrefix("100.64.0.0/10").Contains(ip) || netip.MustParsePrefix("0.0.0.0/8").Contains(ip) ||
		netip.MustParsePrefix("64:ff9b::/96").Contains(ip) || ip.Zone() != ""
}

func (p *Proxy) refuse(client net.Conn, destination string, why reason.Reason, detail string) {
	text := fmt.Sprintf("%d %s: %s\n", why.Status(), why.Text(), detail)
	fmt.Fprintf(client, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nX-Ambassador-Error: %s\r\nConnection: close\r\n\r\n%s",
		why.Status(), http.StatusText(why.Status()), len(text), why, text)
	p.report(destination, why, 0, 0)
}

func (p *Proxy) report(destination string, why reason.Reason, in, out int64) {
	if p.ended != nil {
		p.ended(destination, why, in, out)
	}
}

// tunnel joins both sides; what the client sent behind its head goes first.
func (p *Proxy) tunnel(client, server net.Conn, buffered *bufio.Reader, destination string) {
	early, _ := buffered.Peek(buffered.Buffered())
	if _, err := server.Write(early); err != nil {
		return
	}
	var in int64
	var up sync.WaitGroup
	up.Go(func() { in = carry(server, client) })
	out := carry(client, server)
	up.Wait()
	p.report(destination, reason.OK, in+int64(len(early)), out)
}

func carry(to, from net.Conn) int64 {
	n, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok {
		to.Close()
		return n
	}
	_ = half.CloseWrite()
	return n
}

// exchange forwards one plain request in origin form, without what belongs to the proxy.
func (p *Proxy) exchange(client, server net.Conn, r *http.Request, destination string) {
	for _, name := range r.Header["Connection"] {
		for f := range strings.SplitSeq(name, ",") {
			r.Header.Del(strings.TrimSpace(f))
		}
	}
	for _, name := range []string{"Connection", "Proxy-Connection", "Proxy-Authorization", "Keep-Alive", "Te", "Trailer", "Upgrade"} {
		r.Header.Del(name)
	}
	r.Close = true
	if _, ok := r.Header["User-Agent"]; !ok {
		r.Header["User-Agent"] = nil
	}
	if err := r.Write(server); err != nil {
		p.refuse(client, destination, reason.UpstreamReset, err.Error())
		return
	}
	out, _ := io.Copy(client, server)
	p.report(destination, reason.OK, r.ContentLength, out)
}

// Busy is the number of open sockets of both sides.
func (p *Proxy) Busy() int { return p.sockets.Len() }

// LastActivity is when bytes last moved or a connection was made or ended.
func (p *Proxy) LastActivity() time.Time { return p.sockets.LastActivity() }

// Close ends all connections at once and waits for their goroutines.
func (p *Proxy) Close() {
	p.cancel()
	p.sockets.Close()
	p.running.Wait()
}
