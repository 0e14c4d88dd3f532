package layer7

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/pod-helpers/pod-helpers/internal/kit/backoff"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/retry"
)

// attempt is how one try of the net/http engine went.
type attempt struct {
	endpoint Sender
	response *http.Response
	err      error
	why      reason.Reason
	safe     bool // nothing reached the upstream
	latency  time.Duration
	stale    bool
}

// proxy tries until there is an answer to pass on.
func (c *call) proxy(ctx context.Context) {
	for {
		a, err := c.race(ctx)
		if err != nil {
			c.failed(err)
			return
		}
		again := c.rec.Tries < c.tries() && c.repeatable(a) && c.upgrade == ""
		wait, granted := time.Duration(0), false
		if again {
			if wait, granted = c.up.Retry(a.why, c.rec.Tries); !granted && a.response == nil {
				a.why = reason.RetryBudgetExhausted
			}
		}
		if granted {
			c.forget(a)
			if backoff.Sleep(ctx, wait) == nil && c.body.rewind() {
				continue
			}
		}
		if a.response == nil {
			c.fail(a.why, cause(a.err))
			return
		}
		c.relay(ctx, a)
		return
	}
}

// cause is what the reason alone does not say; "" when it says all.
func cause(err error) string {
	if err == nil || errors.Is(err, syscall.ECONNREFUSED) {
		return ""
	}
	if e, ok := errors.AsType[*reason.Error](err); ok {
		if e.Err == nil {
			return ""
		}
		return e.Err.Error()
	}
	return err.Error()
}

// repeatable says whether a may be tried again: see package retry.
func (c *call) repeatable(a *attempt) bool {
	if !c.body.replayable() || a.why.Client() || a.why == reason.RequestTimeout {
		return false
	}
	if a.safe {
		return true
	}
	if !c.idempotent() {
		return false
	}
	if a.response == nil {
		return a.why != reason.UpstreamTimeoutHeaders
	}
	return retry.Status(a.response.StatusCode) || a.response.Header.Get("Grpc-Status") == "14"
}

// forget drops an answer that is not passed on.
func (c *call) forget(a *attempt) {
	if a.response != nil {
		a.response.Body.Close()
		a.endpoint.Report(c.outcome(a))
	}
	c.tried = append(c.tried, a.endpoint)
}

func (c *call) outcome(a *attempt) Outcome {
	o := Outcome{Reason: a.why, Latency: a.latency, StaleReuse: a.stale}
	if a.response != nil {
		o.Status, o.RetryAfter = a.response.StatusCode, a.response.Header.Get("Retry-After") != ""
		if a.response.Header.Get("Grpc-Status") == "14" {
			o.Status = http.StatusServiceUnavailable
		}
	}
	return o
}

// try sends the request once; a reused connection that was dead costs nothing and is replaced by a new one.
func (c *call) try(ctx context.Context) (*attempt, error) {
	e, err := c.pick(ctx)
	if err != nil {
		return nil, err
	}
	return c.ask(ctx, e), nil
}

func (c *call) pick(ctx context.Context) (Endpoint, error) {
	return c.up.Pick(ctx, Pick{Hash: c.decision.Hash, Hashed: c.decision.Hashed, Tried: c.tried})
}

// ask is a try on the endpoint that was picked.
func (c *call) ask(ctx context.Context, e Endpoint) *attempt {
	a := &attempt{endpoint: e.(Sender)}
	c.rec.Endpoint = e
	c.rec.Tries++
	begin := time.Now()
	for fresh := false; ; fresh = true {
		var sent Sent
		a.response, sent, a.err = c.send(ctx, a.endpoint, fresh)
		a.latency = time.Since(begin)
		if a.err == nil {
			a.why = reason.OK
			return a
		}
		a.safe, a.why = sent.Nothing, c.classify(ctx, a.err, sent)
		if sent.Reused && sent.Nothing && !fresh && ctx.Err() == nil && c.body.rewind() {
			a.stale = true
			continue
		}
		e.Report(c.outcome(a))
		return a
	}
}

func (c *call) classify(ctx context.Context, err error, sent Sent) reason.Reason {
	if cause := context.Cause(ctx); cause != nil {
		if e, ok := errors.AsType[*reason.Error](cause); ok {
			return e.Reason
		}
		return reason.ClientAborted
	}
	if e, ok := errors.AsType[*reason.Error](err); ok {
		return e.Reason
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok && tooLarge != nil {
		return reason.ClientBodyTooLarge
	}
	if sent.Dial {
		return reason.OfDial(err)
	}
	if text := err.Error(); strings.Contains(text, "malformed") || strings.Contains(text, "bad ") {
		return reason.UpstreamBadResponse
	}
	return reason.UpstreamReset
}

// send makes the outgoing request. The try ends with the header timeout unless the head comes first; afterwards the body
// lives as long as the exchange.
func (c *call) send(ctx context.Context, e Sender, fresh bool) (*http.Response, Sent, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(or(c.set.Header, time.Minute), func() {
		cancel(&reason.Error{Reason: reason.UpstreamTimeoutHeaders})
	})
	response, sent, err := e.RoundTrip(c.outgoing(ctx), fresh)
	if !timer.Stop() && err == nil {
		response.Body.Close()
		err = context.Canceled
	}
	if err != nil {
		if late, ok := errors.AsType[*reason.Error](context.Cause(ctx)); ok {
			err = late
		}
		cancel(nil)
		return nil, sent, err
	}
	return response, sent, nil // the exchange's cancel ends this context too
}

// outgoing is the client's request without what ends at this hop, with what is injected.
func (c *call) outgoing(ctx context.Context) *http.Request {
	in := c.r
	h := in.Header.Clone()
	removeHop(h)
	for _, name := range c.set.Drop {
		dropField(h, name)
	}
	for line := range strings.SplitSeq(string(c.up.AppendFields(nil, &c.view)), "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			h[http.CanonicalHeaderKey(name)] = append(h[http.CanonicalHeaderKey(name)], value)
		}
	}
	if httpguts.HeaderValuesContainsToken(in.Header["Te"], "trailers") {
		h["Te"] = []string{"trailers"}
	}
	if c.upgrade != "" {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, in.Header["Upgrade"]
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // net/http would invent one
	}
	out := &http.Request{
		Method: in.Method, URL: targetOf(in, &c.view), Host: in.Host, Header: h, ContentLength: in.ContentLength,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: c.body.reader(),
	}
	if c.set.Host != "" {
		out.Host = c.set.Host
	}
	if in.ContentLength == 0 {
		out.Body = http.NoBody
	}
	return out.WithContext(ctx)
}

// targetOf keeps the bytes of the target: what net/url would make of them is not what the app sent.
func targetOf(in *http.Request, v *Request) *url.URL {
	u := &url.URL{Scheme: "http", Host: "endpoint", RawQuery: string(v.Query), ForceQuery: v.Query != nil && len(v.Query) == 0}
	if strings.HasPrefix(string(v.Path), "//") { // Opaque would make an authority of it
		u.Path, u.RawPath = in.URL.Path, string(v.Path)
	} else {
		u.Opaque = string(v.Path)
	}
	return u
}

// removeHop removes hop-by-hop fields and those that Connection names (RFC 9110, 7.6.1).
func removeHop(h http.Header) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			switch name = strings.ToLower(strings.TrimSpace(name)); name {
			case "host", "content-length", "": // never ours to lose
			default:
				h.Del(name)
			}
		}
	}
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Http2-Settings", "Proxy-Authorization", "Proxy-Authenticate"} {
		delete(h, name)
	}
}

// dropField removes a field in every case, and with '_' for '-'.
func dropField(h http.Header, lower string) {
	for name := range h {
		if strings.EqualFold(strings.ReplaceAll(name, "_", "-"), lower) {
			delete(h, name)
		}
	}
}

// replay is a request body whose beginning is kept, so that it can be sent again.
type replay struct {
	body io.ReadCloser
	keep int
	have []byte
	over bool // more was read than is kept

	moved func() // told of each read; may be nil
}

func newReplay(body io.ReadCloser, keep int) *replay { return &replay{body: body, keep: keep} }

func (b *replay) replayable() bool { return !b.over }

func (b *replay) rewind() bool { return !b.over }

// reader is the body of one try. The Transport may still read a body after its try has failed; that try's reads must not
// take bytes from the next one, so each try has its own.
func (b *replay) reader() io.ReadCloser { return &replayReader{b: b} }
