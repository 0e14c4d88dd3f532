package layer7

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// relay passes an answer on: head, body as it comes, trailers.
func (c *call) relay(ctx context.Context, a *attempt) {
	response := a.response
	c.rec.Status = response.StatusCode
	defer a.end()
	if response.StatusCode == http.StatusSwitchingProtocols {
		c.tunnel(a)
		return
	}
	outcome := c.outcome(a)
	c.head(response)
	err := c.copyBody(response, a.wait)
	if err != nil {
		outcome.Reason = c.cut(ctx, a.wait, err)
	}
	c.rec.Reason = outcome.Reason
	a.endpoint.Report(outcome)
	if err != nil {
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
	for name, values := range response.Trailer {
		for _, v := range values {
			c.w.Header().Add(http.TrailerPrefix+name, v)
		}
	}
}

// head sends the head of an answer as it came, less what ends at this hop.
func (c *call) head(response *http.Response) {
	h := c.w.Header()
	removeHop(response.Header)
	for name, values := range response.Header {
		h[name] = values
	}
	for _, name := range []string{"Date", "Content-Type"} { // nothing is invented
		if _, ok := h[name]; !ok {
			h[name] = nil
		}
	}
	if _, ok := h["Content-Length"]; !ok && c.r.ProtoMajor >= 2 {
		h["Content-Length"] = nil
	}
	if c.last {
		h.Set("Connection", "close")
	}
	c.w.WriteHeader(response.StatusCode)
}

func (c *call) cut(ctx context.Context, w *waiting, err error) reason.Reason {
	if why := w.end(); why != reason.OK {
		return why
	}
	if e, ok := errors.AsType[*reason.Error](context.Cause(ctx)); ok {
		return e.Reason
	}
	if c.r.Context().Err() != nil || errors.Is(err, errClient) {
		return reason.ClientAborted
	}
	if fault := c.body.fault(); fault != nil {
		return ofBody(fault).Reason
	}
	return reason.UpstreamTruncated
}

var errClient = errors.New("the client takes no more")

const copyBytes = 16 << 10

// copyBody flushes an answer whose length is not known as it comes. Over HTTP/1.1 its head goes first, so that net/http makes
// chunks of the rest, which may have trailers.
func (c *call) copyBody(response *http.Response, w *waiting) error {
	c.s.streaming(1)
	defer c.s.streaming(-1)
	buffer := c.s.buffers.Get().(*[copyBytes]byte)
	defer c.s.buffers.Put(buffer)
	if response.ContentLength >= 0 {
		return c.copyTo(c.w, response.Body, w, buffer, func() {})
	}
	if c.r.ProtoMajor < 2 {
		_ = http.NewResponseController(c.w).Flush()
	}
	f := &flushing{w: c.w, waits: c.r.ProtoMajor >= 2}
	defer f.end()
	return c.copyTo(f, response.Body, w, buffer, f.reads)
}

func (c *call) copyTo(to io.Writer, from io.Reader, w *waiting, buffer *[copyBytes]byte, reads func()) error {
	for {
		reads()
		n, err := from.Read(buffer[:])
		w.moved()
		c.s.moved()
		if n > 0 {
			if _, werr := to.Write(buffer[:n]); werr != nil {
				return errClient
			}
			c.rec.BytesOut += int64(n)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
