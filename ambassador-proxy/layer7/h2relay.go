package layer7

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// relay passes an answer on: head, body as it comes, trailers. The upstream's body is closed after the try was cancelled,
// never before: Close waits for a request body that may be open for ever (golang/go#80085).
func (c *call) relay(ctx context.Context, a *attempt) {
	response := a.response
	c.rec.Status, c.rec.Reason = response.StatusCode, reason.OK
	defer func() {
		c.cancel(nil)
		response.Body.Close()
	}()
	if response.StatusCode == http.StatusSwitchingProtocols {
		c.tunnel(a)
		return
	}
	a.endpoint.Report(c.outcome(a))
	h := c.w.Header()
	header := response.Header
	removeHop(header)
	for name, values := range header {
		h[name] = values
	}
	for _, name := range []string{"Date", "Content-Type"} { // nothing is invented
		if _, ok := h[name]; !ok {
			h[name] = nil
		}
	}
	c.w.WriteHeader(response.StatusCode)
	err := c.copyBody(ctx, response)
	if err != nil {
		c.rec.Reason = c.cut(ctx, err)
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
	for name, values := range response.Trailer {
		for _, v := range values {
			h.Add(http.TrailerPrefix+name, v)
		}
	}
}

func (c *call) cut(ctx context.Context, err error) reason.Reason {
	if e, ok := errors.AsType[*reason.Error](context.Cause(ctx)); ok {
		return e.Reason
	}
	if c.r.Context().Err() != nil || errors.Is(err, errClient) {
		return reason.ClientAborted
	}
	return reason.UpstreamTruncated
}

var errClient = errors.New("the client takes no more")

const copyBytes = 16 << 10

func (c *call) copyBody(ctx context.Context, response *http.Response) error {
	idle := or(c.set.Idle, 5*time.Minute)
	timer := time.AfterFunc(idle, func() { c.cancel(&reason.Error{Reason: reason.UpstreamTimeoutIdle}) })
	defer timer.Stop()
	c.s.streaming(1)
	defer c.s.streaming(-1)
	flush := response.ContentLength < 0
	control := http.NewResponseController(c.w)
	if flush {
		_ = control.Flush()
	}
	buffer := make([]byte, copyBytes)
	for {
		n, err := response.Body.Read(buffer)
		timer.Reset(idle)
		c.s.moved()
		if n > 0 {
			if _, werr := c.w.Write(buffer[:n]); werr != nil {
				return errClient
			}
			c.rec.BytesOut += int64(n)
			if flush {
				_ = control.Flush()
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// tunnel joins both connections after a 101 that was asked for.
func (c *call) tunnel(a *attempt) {
	body, duplex := a.response.Body.(io.ReadWriteCloser)
	if c.upgrade == "" || !duplex || !strings.EqualFold(a.response.Header.Get("Upgrade"), c.upgrade) {
		a.why = reason.UpstreamBadResponse
		a.endpoint.Report(c.outcome(a))
		c.fail(reason.UpstreamBadResponse, "101 that nobody asked for")
		return
	}
	a.endpoint.Report(c.outcome(a))
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
	both.Go(func() {
		_, _ = io.Copy(&noting{body, c.s}, rw)
		body.Close()
	})
	n, _ := io.Copy(&noting{client, c.s}, body)
	c.rec.BytesOut = n
	if half, ok := client.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = client.SetReadDeadline(time.Now().Add(answerTime))
	both.Wait()
}

func writeSwitch(client net.Conn, response *http.Response) error {
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = response.Header.Write(&b)
	b.WriteString("\r\n")
	_, err := io.WriteString(client, b.String())
	return err
}

// replayReader reads the kept beginning first and the rest from the client.
type replayReader struct {
	b      *replay
	at     int
	closed bool
}

func (r *replayReader) Read(p []byte) (int, error) {
	b := r.b
	if r.closed {
		return 0, io.ErrClosedPipe
	}
	if r.at < len(b.have) {
		n := copy(p, b.have[r.at:])
		r.at += n
		return n, nil
	}
	n, err := b.body.Read(p)
	if b.moved != nil {
		b.moved()
	}
	if n > 0 && !b.over {
		if len(b.have)+n > b.keep {
			b.over, b.have = true, nil
		} else {
			b.have = append(b.have, p[:n]...)
		}
	}
	r.at += n
	return n, err
}

func (r *replayReader) Close() error {
	r.closed = true
	return nil
}
