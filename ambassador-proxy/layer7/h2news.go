package layer7

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// news relays interim answers (RFC 9110, 15.2) of one try, as long as that runs: its connection's goroutine tells of them.
type news struct {
	c     *call // nil: there is nobody to tell
	hooks httptrace.ClientTrace

	mu    sync.Mutex
	count int
	ended bool
}

// of a call; those of a copy, of a race and for HTTP/1.0 interest nobody.
func (n *news) of(ctx context.Context, c *call) context.Context {
	if c.w == nil || c.racing || !c.r.ProtoAtLeast(1, 1) {
		return ctx
	}
	n.c, n.hooks.Got1xxResponse = c, n.got
	return httptrace.WithClientTrace(ctx, &n.hooks)
}

func (n *news) got(code int, fields textproto.MIMEHeader) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.count++; n.count > maxInterim {
		return &reason.Error{Reason: reason.UpstreamBadResponse, Err: errInterim}
	}
	if n.ended || code == http.StatusContinue { // the server says that by itself when the body is asked for
		return nil
	}
	h := n.c.w.Header()
	clear(h)
	for name, values := range fields {
		h[name] = values
	}
	removeHop(h)
	n.c.w.WriteHeader(code)
	clear(h)
	return nil
}

func (n *news) end() {
	n.mu.Lock()
	n.ended = true
	n.mu.Unlock()
}
