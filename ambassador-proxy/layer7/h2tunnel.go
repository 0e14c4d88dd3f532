package layer7

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// tunnel joins both connections after a 101 that was asked for.
func (c *call) tunnel(a *attempt) {
	a.wait.end() // a tunnel has no timers
	body, duplex := a.response.Body.(io.ReadWriteCloser)
	if c.upgrade == "" || !duplex || !strings.EqualFold(a.response.Header.Get("Upgrade"), c.upgrade) {
		a.why = reason.UpstreamBadResponse
		a.endpoint.Report(c.outcome(a))
		c.fail(reason.UpstreamBadResponse, "101 that nobody asked for")
		return
	}
	defer a.endpoint.Report(c.outcome(a))
	client, rw, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		c.fail(reason.ClientNotImplemented, "upgrade over HTTP/2")
		return
	}
	defer client.Close()
	_ = client.SetDeadline(time.Time{})
	c.s.streaming(1)
	defer c.s.streaming(-1)
	if writeSwitch(client, a.response) != nil {
		return
	}
	var both sync.WaitGroup
	var in int64
	both.Go(func() { in = c.s.carry(body, rw) })
	c.rec.BytesOut = c.s.carry(client, body)
	both.Wait()
	c.rec.BytesIn = in
}

// carry copies one direction of a tunnel and passes its end on; an error ends both.
func (s *Std) carry(to io.WriteCloser, from io.Reader) int64 {
	n, err := io.Copy(&noting{to, s}, from)
	if half, ok := to.(interface{ CloseWrite() error }); err != nil || !ok || half.CloseWrite() != nil {
		to.Close()
	}
	return n
}

func writeSwitch(client net.Conn, response *http.Response) error {
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = response.Header.Write(&b)
	b.WriteString("\r\n")
	_, err := io.WriteString(client, b.String())
	return err
}
