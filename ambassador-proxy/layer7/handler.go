package layer7

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/net/http/httpguts"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/retry"
)

// call is one request on its way through the net/http engine.
type call struct {
	s        *Std
	w        http.ResponseWriter
	r        *http.Request
	view     Request
	decision Decision
	up       Upstream
	set      *Settings
	rec      Record
	body     *replay
	upgrade  string
	grpc     bool
	tried    []Endpoint
	racing   bool // one of several that are sent at once
	last     bool // it asks for an upgrade, so that what follows on its connection is not checked
}

// ServeHTTP answers one request.
func (s *Std) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	c := &call{s: s, w: w, r: r, grpc: strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")}
	c.last = httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade")
	c.view = viewOf(r)
	c.rec = Record{Method: c.view.Method, Host: c.view.Host, Target: bytesOf(r.RequestURI), Start: time.Now()}
	defer func() {
		s.moved()
		s.requests.Add(-1)
		c.rec.Duration = time.Since(c.rec.Start)
		if c.body != nil {
			c.rec.BytesIn += c.body.bytes()
		}
		if s.cfg.Observer != nil {
			s.cfg.Observer.Request(&c.rec)
		}
	}()
	if why, detail := refused(r); why != reason.OK {
		c.rec = Record{Start: c.rec.Start}
		c.fail(why, detail)
		return
	}
	c.serve()
}

func viewOf(r *http.Request) Request {
	path, query, has := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") && path != "*" { // absolute form
		path = r.URL.EscapedPath()
	}
	v := Request{Method: bytesOf(r.Method), Host: bytesOf(r.Host), Path: bytesOf(path), Fields: headerFields(r.Header)}
	if has {
		v.Query = bytesOf(query)
	}
	return v
}

// bytesOf is a view into s, never nil: nobody changes it.
func bytesOf(s string) []byte {
	if s == "" {
		return []byte{}
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

type headerFields http.Header

// Get returns the first value of a field.
func (f headerFields) Get(lower string) []byte {
	if v := http.Header(f).Values(lower); len(v) > 0 {
		return bytesOf(v[0])
	}
	return nil
}

func (c *call) serve() {
	if c.r.Method == http.MethodConnect {
		c.fail(reason.ClientNotImplemented, "CONNECT is for a forward proxy")
		return
	}
	c.decision = c.s.cfg.Route.Match(&c.view)
	if c.up = c.decision.Upstream; c.up == nil {
		c.fail(reason.NoRoute, "")
		return
	}
	c.set, c.rec.Upstream = c.up.Settings(), c.up
	c.upgrade = c.allowedUpgrade()
	ctx := c.r.Context()
	if limit := c.total(); limit > 0 && c.upgrade == "" {
		var cancel context.CancelCauseFunc
		ctx, cancel = context.WithCancelCause(ctx)
		defer cancel(nil)
		timer := time.AfterFunc(limit, func() { cancel(&reason.Error{Reason: reason.RequestTimeout}) })
		defer timer.Stop()
	}
	if c.disturbed(ctx) {
		return
	}
	if err := c.up.Admit(ctx); err != nil {
		c.failed(err)
		return
	}
	defer c.up.Leave()
	if max := c.s.cfg.Body; max > 0 {
		if c.r.ContentLength > max {
			c.fail(reason.ClientBodyTooLarge, "")
			return
		}
		c.r.Body = http.MaxBytesReader(c.w, c.r.Body, max)
	}
	keep := c.set.Replay
	if keep == 0 {
		keep = 64 << 10
	}
	c.body = newReplay(c.r.Body, keep)
	c.body.moved = c.s.moved
	c.mirror()
	c.proxy(ctx)
}

// allowedUpgrade is the protocol that the request asks for and may have (RFC 9110, 7.8). One that is not listed is answered as
// if it had not been asked for.
func (c *call) allowedUpgrade() string {
	p := strings.ToLower(c.r.Header.Get("Upgrade"))
	if c.last && (p == "websocket" || slices.Contains(c.set.Upgrade, p)) {
		return p
	}
	return ""
}

// total is the time of the whole exchange: the route's, the upstream's, or the gRPC deadline if that is sooner.
func (c *call) total() time.Duration {
	limit := c.decision.Timeout
	if limit == 0 {
		limit = c.set.Total
	}
	if d, ok := grpcTimeout(c.r.Header.Get("Grpc-Timeout")); c.grpc && ok && (limit == 0 || d < limit) {
		limit = d
	}
	return limit
}

// grpcTimeout reads a grpc-timeout (gRPC over HTTP/2): up to eight digits and a unit.
func grpcTimeout(s string) (time.Duration, bool) {
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	unit, ok := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond,
		'u': time.Microsecond, 'n': time.Nanosecond}[s[len(s)-1]]
	return time.Duration(n) * unit, err == nil && ok
}

// tries is how often the request may be sent at most.
func (c *call) tries() int {
	switch {
	case c.decision.Tries > 0:
		return c.decision.Tries
	case c.set.Tries > 0:
		return c.set.Tries
	}
	return 2
}

func (c *call) idempotent() bool {
	return retry.Idempotent(c.r.Method, c.r.Header.Get("Idempotency-Key") != "")
}
