// Package layer7 answers HTTP requests of the app with what an upstream says. Two engines share the interfaces of this
// file: one for HTTP/1.1 to HTTP/1.1 (h1*.go, over the codec in http1) and one over net/http for everything else.
package layer7

import (
	"context"
	"net"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2/client"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// Request is what routing, balancing and injection may look at. All of it are views into the engine's buffers: valid
// during the call, neither changed nor kept.
type Request struct {
	Method []byte
	Scheme []byte // of an absolute-form target, as received; nil for another form. Only the HTTP/1.1 engine tells it
	Host   []byte // of the absolute-form target when there is one, else of the Host field; as received
	Path   []byte // as received, without the query
	Query  []byte // what follows the first '?'; nil when there is none
	Fields Fields
}

// Fields looks header fields up.
type Fields interface {
	// Get returns the first value of a field by its lower-case name, nil when it is absent. No allocation.
	Get(lower string) []byte
}

// Route decides where a request goes. Match is called once a request, by many goroutines at once.
type Route interface {
	Match(r *Request) Decision
}

// Decision is where a request goes.
type Decision struct {
	Upstream Upstream      // nil: no route matches (404 no_route)
	Timeout  time.Duration // of the whole exchange; 0: Settings.Total
	Tries    int           // at most, the first included; 0: Settings.Tries
	Hash     uint64        // for balancing by key, meaningful when Hashed
	Hashed   bool

	// Handover asks the engine to give the connection, with all that was read and nothing consumed, to H1Config.Other, or the
	// stream to H1Config.Streams: for upstreams that speak HTTP/2, and for mirrors, hedges and faults.
	Handover bool
	// Extra asks for what only the net/http engine does: mirrors, hedges, faults, and upstreams that choose by ALPN.
	Extra bool
}

// Upstream is one destination with its endpoints. All methods may be called by many goroutines at once. A request that
// was decided for an Upstream finishes on it, even when a reload has replaced it since.
type Upstream interface {
	// Settings never change during the life of the Upstream.
	Settings() *Settings
	// Admit counts the request (the retry budget is a share of these) and waits for one of the bounded places. Its error
	// is a *reason.Error (queue_full, queue_timeout). Leave follows each Admit that succeeded, once.
	Admit(ctx context.Context) error
	Leave()
	// Pick chooses an endpoint and counts a request in flight on it until its Report. It waits for the first endpoint
	// to become known (startup_wait). Its error is a *reason.Error (dns_failed, no_endpoint).
	Pick(ctx context.Context, p Pick) (Endpoint, error)
	// Retry takes a token from the retry budget for another try after why, and says how long to wait before it.
	// try is the number of tries so far. Not asked when nothing was written on a reused connection that had died.
	Retry(why reason.Reason, try int) (wait time.Duration, ok bool)
	// AppendFields appends the header lines to inject ("Name: value\r\n" each) to dst. The engine has removed the
	// client's copies of Settings.Drop before.
	AppendFields(dst []byte, r *Request) []byte
}

// Several is an Upstream that tells whether another endpoint than the last could be asked.
type Several interface {
	// Several endpoints are known.
	Several() bool
}

// asksToWait tells whether an answer with Retry-After is the one to pass on: the only endpoint wants to be left alone.
func asksToWait(up Upstream, retryAfter []byte) bool {
	s, ok := up.(Several)
	return ok && !s.Several() && len(retryAfter) > 0 && string(retryAfter) != "0"
}

// Settings of an upstream that the engines follow.
type Settings struct {
	Name   string
	Host   string        // value of the Host field to send; "" keeps the client's
	Header time.Duration // until the response head; 0: 60 s
	Idle   time.Duration // without a byte in either direction of a body; 0: 5 min
	Total  time.Duration // of the whole exchange; 0: none
	Tries  int           // at most, the first included; 0: 2
	Replay int           // bytes of request body kept for a retry; 0: 64 KiB
	// Drop are lower-case names of the client's fields that are never forwarded, in any case and with '_' for '-':
	// those that AppendFields sets.
	Drop []string
	// Upgrade are the lower-case protocols that may be upgraded to besides websocket.
	Upgrade []string
	// HTTP2 is the :scheme of an upstream that speaks nothing else, whose endpoints are Streamers; "" for others.
	HTTP2 string
}

// Pick says which endpoint is wanted.
type Pick struct {
	Hash   uint64
	Hashed bool
	Tried  []Endpoint // failed in this request: take another one when there is one
	Now    time.Time  // half a second ago at most, to save a look at the clock; zero: not known
}

// Endpoint is one address of an upstream. The engines compare endpoints with ==.
type Endpoint interface {
	// Address is as a person would write it: 10.0.0.7:8443.
	Address() string
	// Acquire returns an idle connection or dials one, TLS handshake done. With fresh it must dial. Its error is
	// classified by reason.OfDial. Conn.Reused tells which of the two it was. now is as in Pick.
	Acquire(ctx context.Context, now time.Time, fresh bool) (*Conn, error)
	// Release gives the connection back. It is kept when reusable, else closed. keepAlive is the upstream's
	// `Keep-Alive: timeout`, 0 when it did not say. The engine does not touch c afterwards.
	Release(c *Conn, reusable bool, keepAlive time.Duration)
	// Report ends the request that Pick counted, once.
	Report(o Outcome)
}

// Streamer is an Endpoint that may speak HTTP/2.
type Streamer interface {
	Endpoint
	// Stream opens a stream on a shared connection, or with fresh on a new one. When the upstream speaks HTTP/1.1 it is nil and
	// there is a connection instead, as Acquire would give it. reused tells whether a connection had carried a request before.
	// The error is classified by reason.OfDial: nothing was sent. now is as in Pick.
	Stream(ctx context.Context, r *client.Request, now time.Time, fresh bool) (s *client.Stream, c *Conn, reused bool, err error)
}

// Outcome is how one try ended.
type Outcome struct {
	Status     int           // of the upstream's answer; 0: none came
	Reason     reason.Reason // OK, or why the try failed; a client's fault says nothing about the endpoint
	Latency    time.Duration // from the pick to the response head
	StaleReuse bool          // a reused connection turned out to be dead: keep idle ones for a shorter time
	RetryAfter bool          // the answer carried Retry-After
	At         time.Time     // when the try ended; zero: now
}

// Conn is an upstream connection as a pool keeps it: a net.Conn with the engine's state beside it, so that a pooled
// connection costs no allocation when it is used again. NewConn makes one.
type Conn struct {
	net.Conn           // *net.TCPConn, *net.UnixConn or *tls.Conn, never wrapped (raw calls and splice need it bare)
	Reused   bool      // set by Endpoint.Acquire
	Since    time.Time // of its last use: set before each Release
	Old      time.Time // when it must not be used again; of the pool

	link *link
}

// Unread takes a connection that was handed over apart: the bare one, and what was read of it.
func Unread(c net.Conn) (net.Conn, []byte) {
	if r, ok := c.(*replayed); ok {
		return r.Conn, r.read
	}
	return c, nil
}

// Observer sees every request when it has ended. Called by many goroutines at once; r is reused afterwards.
type Observer interface {
	Request(r *Record)
}

// Record is one ended request, for metrics and the access log. The byte slices are views, valid during the call.
type Record struct {
	Method, Host, Target []byte
	Upstream             Upstream // nil: it got no further than the parser or the routes
	Endpoint             Endpoint // of the last try; may be nil
	Status               int      // as sent to the client; 0: nothing was sent
	Reason               reason.Reason
	Detail               string // what was wrong with a malformed message, in words
	Tries                int
	Start                time.Time
	Duration             time.Duration
	BytesIn, BytesOut    int64 // of bodies as framed
}
