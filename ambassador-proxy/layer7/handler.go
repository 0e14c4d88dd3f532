package layer7

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/retry"
)

// StdConfig of a net/http engine, one a listener.
type StdConfig struct {
	Route       Route
	Observer    Observer // may be nil
	Body        int64    // bytes of a request body; 0: no limit
	HeadTimeout time.Duration
	ClientIdle  time.Duration
}

// Std proxies what the HTTP/1.1 engine does not: HTTP/2 and gRPC on either side, and requests to be mirrored, hedged or
// disturbed. Its endpoints must be Senders.
type Std struct {
	cfg      StdConfig
	server   *http.Server
	conns    *handed
	done     chan struct{}
	requests atomic.Int64
	streams  atomic.Int64 // in flight, their answers under way; tunnels too
	open     atomic.Int64
	last     atomic.Int64 // when bytes were moved last, Unix nanoseconds
	mirrors  atomic.Int64 // copies in flight
	copies   sync.WaitGroup
	life     context.Context // of the copies: they outlive the request that they copy
	end      context.CancelFunc
}

// NewStd starts an engine. Close it.
func NewStd(cfg StdConfig) *Std {
	s := &Std{cfg: cfg, conns: &handed{c: make(chan net.Conn), closed: make(chan struct{})}, done: make(chan struct{})}
	s.life, s.end = context.WithCancel(context.Background())
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.server = &http.Server{
		Handler: s, Protocols: protocols, MaxHeaderBytes: 64 << 10,
		ReadHeaderTimeout: or(cfg.HeadTimeout, 30*time.Second), IdleTimeout: or(cfg.ClientIdle, time.Hour),
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 250, SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second,
			MaxReceiveBufferPerStream: 1 << 20, MaxReceiveBufferPerConnection: 4 << 20},
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.open.Add(1)
			case http.StateClosed, http.StateHijacked:
				s.open.Add(-1)
			}
		},
		ErrorLog: nil,
	}
	go func() { defer close(s.done); _ = s.server.Serve(s.conns) }()
	return s
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Serve serves a connection until it is closed.
func (s *Std) Serve(c net.Conn) {
	o := &owned{Conn: c, closed: make(chan struct{})}
	select {
	case s.conns.c <- o:
		<-o.closed
	case <-s.conns.closed:
		c.Close()
	}
}

// owned tells when it is closed.
type owned struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (o *owned) Close() error {
	defer o.once.Do(func() { close(o.closed) })
	return o.Conn.Close()
}

// CloseWrite ends our side of a tunnel.
func (o *owned) CloseWrite() error {
	c := o.Conn
	if r, ok := c.(*replayed); ok {
		c = r.Conn
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Busy is how many connections are open and how many requests are in flight.
func (s *Std) Busy() (connections, requests int) {
	return int(s.open.Load()), int(s.requests.Load() + s.streams.Load())
}

// streaming counts a request among the streams, or back.
func (s *Std) streaming(n int64) {
	s.streams.Add(n)
	s.requests.Add(-n)
}

func (s *Std) moved() { s.last.Store(time.Now().UnixNano()) }

// noting is a writer whose bytes are activity.
type noting struct {
	io.Writer
	s *Std
}

func (n *noting) Write(p []byte) (int, error) {
	n.s.moved()
	return n.Writer.Write(p)
}

// LastActivity is when bytes of a request or an answer were moved; now when an answer is waited for. Zero before the first.
func (s *Std) LastActivity() time.Time {
	if s.requests.Load() > 0 {
		return time.Now()
	}
	if t := s.last.Load(); t != 0 {
		return time.Unix(0, t)
	}
	return time.Time{}
}

// Close ends all connections at once.
func (s *Std) Close() {
	s.end()
	_ = s.server.Close()
	<-s.done
	s.copies.Wait()
}

// handed is a listener of connections that somebody else has accepted.
type handed struct {
	c      chan net.Conn
	closed chan struct{}
	once   atomic.Bool
}

func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.c:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handed) Close() error {
	if h.once.CompareAndSwap(false, true) {
		close(h.closed)
	}
	return nil
}

func (h *handed) Addr() net.Addr { return &net.TCPAddr{} }

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
	cancel   context.CancelCauseFunc
}

// ServeHTTP answers one request.
func (s *Std) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	c := &call{s: s, w: w, r: r, grpc: strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")}
	c.view = viewOf(r)
	c.rec = Record{Method: c.view.Method, Host: c.view.Host, Target: []byte(r.RequestURI), Start: time.Now()}
	defer func() {
		s.moved()
		s.requests.Add(-1)
		c.rec.Duration = time.Since(c.rec.Start)
		if s.cfg.Observer != nil {
			s.cfg.Observer.Request(&c.rec)
		}
	}()
	c.serve()
}

func viewOf(r *http.Request) Request {
	path, query, has := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") && path != "*" { // absolute form
		path = r.URL.EscapedPath()
	}
	v := Request{Method: []byte(r.Method), Host: []byte(r.Host), Path: []byte(path), Fields: headerFields(r.Header)}
	if has {
		v.Query = []byte(query)
	}
	return v
}

type headerFields http.Header

// Get returns the first value of a field.
func (f headerFields) Get(lower string) []byte {
	if v := http.Header(f).Values(lower); len(v) > 0 {
		return []byte(v[0])
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
	if !c.upgradable() {
		return
	}
	ctx, cancel := context.WithCancelCause(c.r.Context())
	c.cancel = cancel
	defer cancel(nil)
	if limit := c.total(); limit > 0 && c.upgrade == "" {
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

// upgradable looks at Upgrade (RFC 9110, 7.8): only what is listed may leave HTTP.
func (c *call) upgradable() bool {
	if !httpguts.HeaderValuesContainsToken(c.r.Header["Connection"], "upgrade") {
		return true
	}
	p := strings.ToLower(c.r.Header.Get("Upgrade"))
	if p == "websocket" {
		c.upgrade = p
	}
	for _, more := range c.set.Upgrade {
		if p == more {
			c.upgrade = p
		}
	}
	return true // what is not listed is answered as if it had not been asked for
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

// failed answers for an error whose reason is known.
func (c *call) failed(err error) {
	c.fail(reason.OfDial(err), cause(err))
}

// fail answers in words; a gRPC client gets a grpc-status, never a bare 503.
func (c *call) fail(why reason.Reason, detail string) {
	c.rec.Reason, c.rec.Detail, c.rec.Status = why, detail, why.Status()
	if why == reason.ClientAborted {
		panic(http.ErrAbortHandler)
	}
	text := c.errorText(why, detail)
	h := c.w.Header()
	clear(h)
	h["Date"] = nil
	h.Set("X-Ambassador-Error", why.String())
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

func (c *call) errorText(why reason.Reason, detail string) string {
	text := strconv.Itoa(why.Status()) + " "
	if c.set != nil && !why.Client() {
		text += "upstream " + c.set.Name
		if c.rec.Endpoint != nil {
			text += " (" + c.rec.Endpoint.Address() + ")"
		}
		text += ": "
	}
	text += why.Text()
	if detail != "" {
		text += ": " + detail
	}
	if c.rec.Tries > 1 {
		text += ", " + strconv.Itoa(c.rec.Tries) + " tries"
	}
	return text + "\n"
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
