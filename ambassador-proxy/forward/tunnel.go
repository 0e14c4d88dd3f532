package forward

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// leave takes over a connection that leaves HTTP/1.1: its head, which layer7 has checked, asks for a tunnel.
func (p *Proxy) leave(handed net.Conn) {
	p.running.Add(1)
	defer p.running.Done()
	client, read := layer7.Unread(handed)
	if !p.sockets.Add(client) {
		return
	}
	defer p.sockets.Remove(client)
	rest := bytes.NewReader(read)
	head := bufio.NewReaderSize(rest, len(read)+16)
	request, err := http.ReadRequest(head)
	if err != nil || request.Method != http.MethodConnect {
		p.refuse(client, reason.ClientBadVersion, "HTTP/2 is not served here")
		return
	}
	early, _ := head.Peek(head.Buffered()) // what the client did not wait with
	server, err := p.dial(p.ctx, request.RequestURI)
	if err != nil {
		p.refuse(client, reason.OfDial(err), err.Error())
		return
	}
	if !p.sockets.Add(server) {
		return
	}
	defer p.sockets.Remove(server)
	if _, err = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err == nil {
		p.tunnel(client, server, early)
	}
}

func (p *Proxy) refuse(client net.Conn, why reason.Reason, detail string) {
	text := fmt.Sprintf("%d %s: %s\n", why.Status(), why.Text(), detail)
	fmt.Fprintf(client, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nX-Ambassador-Error: %s\r\nConnection: close\r\n\r\n%s",
		why.Status(), http.StatusText(why.Status()), len(text), why, text)
	p.report(why, 0, 0)
}

func (p *Proxy) report(why reason.Reason, in, out int64) {
	if p.tunnels != nil {
		p.tunnels("", why, in, out)
	}
}

// tunnel joins both sides; what the client sent behind its head goes first.
func (p *Proxy) tunnel(client, server net.Conn, early []byte) {
	if _, err := server.Write(early); err != nil {
		p.report(reason.UpstreamReset, int64(len(early)), 0)
		return
	}
	var in int64
	var up sync.WaitGroup
	up.Go(func() { in = carry(server, client) })
	out := carry(client, server)
	up.Wait()
	p.report(reason.OK, in+int64(len(early)), out)
}

// carry copies one direction and passes its end on.
func carry(to, from net.Conn) int64 {
	n, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	switch {
	case err != nil: // a reset, or the other side is gone: the peer must not take it for a clean end
		if t, ok := to.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		to.Close()
		from.Close()
	case ok:
		_ = half.CloseWrite()
	default:
		to.Close()
	}
	return n
}
