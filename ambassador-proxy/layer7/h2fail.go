package layer7

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// failed answers for an error whose reason is known.
func (c *call) failed(err error) {
	c.fail(reason.OfDial(err), cause(err))
}

// fail answers in words; a gRPC client gets a grpc-status, never a bare 503.
func (c *call) fail(why reason.Reason, detail string) {
	c.rec.Reason, c.rec.Detail, c.rec.Status = why, detail, why.Status()
	if why == reason.ClientAborted {
		c.rec.Status = 0 // nothing is sent
		panic(http.ErrAbortHandler)
	}
	text := inWords(&c.rec, c.set)
	h := c.w.Header()
	clear(h)
	h["Date"] = nil
	h.Set("X-Ambassador-Error", why.String())
	if c.last {
		h.Set("Connection", "close")
	}
	if c.grpc {
		h.Set("Content-Type", "application/grpc")
		h.Set("Grpc-Status", strconv.Itoa(why.GRPC()))
		h.Set("Grpc-Message", grpcMessage(strings.TrimSuffix(text, "\n")))
		c.w.WriteHeader(http.StatusOK)
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	c.w.WriteHeader(why.Status())
	_, _ = c.w.Write([]byte(text))
}

// grpcMessage percent-encodes what is not printable ASCII.
func grpcMessage(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
