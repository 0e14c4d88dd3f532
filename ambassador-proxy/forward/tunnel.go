package forward

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer4"
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
	r := layer7.Record{Start: time.Now()}
	request, err := http.ReadRequest(head)
	if err != nil || request.Method != http.MethodConnect {
		p.refuse(client, &r, reason.ClientBadVersion, "HTTP/2 is not served here")
		return
	}
	r.Method, r.Host, r.Target = []byte(request.Method), []byte(request.Host), []byte(request.RequestURI)
	to := newDestination(request.RequestURI, p.dial)
	r.Upstream, r.Endpoint, r.Tries = to, to, 1
	early, _ := head.Peek(head.Buffered()) // what the client did not wait with
	server, err := to.connect(p.ctx)
	if err != nil {
		p.refuse(client, &r, reason.OfDial(err), err.Error())
		return
	}
	if !p.sockets.Add(server) {
		return
	}
	defer p.sockets.Remove(server)
	if _, err = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		r.Reason = reason.ClientAborted
	} else {
		r.Status = http.StatusOK
		r.BytesIn, r.BytesOut, r.Reason = tunnel(client, server, early)
	}
	p.report(&r)
}

func (p *Proxy) refuse(client net.Conn, r *layer7.Record, why reason.Reason, detail string) {
	text := fmt.Sprintf("%d %s: %s\n", why.Status(), why.Text(), detail)
	fmt.Fprintf(client, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nX-Ambassador-Error: %s\r\nConnection: close\r\n\r\n%s",
		why.Status(), http.StatusText(why.Status()), len(text), why, text)
	r.Status, r.Reason, r.Detail = why.Status(), why, detail
	p.report(r)
}

func (p *Proxy) report(r *layer7.Record) {
	if r.Duration = time.Since(r.Start); p.seen != nil {
		p.seen.Request(r)
	}
}

// tunnel joins both sides; what the client sent behind its head goes first.
func tunnel(client, server net.Conn, early []byte) (in, out int64, why reason.Reason) {
	if _, err := server.Write(early); err != nil {
		return 0, 0, reason.UpstreamReset
	}
	in, out, why = layer4.Join(client, server, 0)
	return in + int64(len(early)), out, why
}
