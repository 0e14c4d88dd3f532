package layer7

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

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
	wait     *waiting // of the answer's body
	cancel   context.CancelFunc
}

// end of the answer. Its body is closed after the try was cancelled, never before: Close waits for a request body that may be
// open for ever (golang/go#80085).
func (a *attempt) end() {
	a.wait.end()
	a.cancel()
	a.response.Body.Close()
}

// proxy tries until there is an answer to pass on, or a failure to tell.
func (c *call) proxy(ctx context.Context) {
	for {
		a, err := c.race(ctx)
		if err != nil {
			c.failed(err)
			return
		}
		wait, again := c.again(a)
		switch {
		case again:
		case a.response == nil:
			c.fail(a.why, cause(a.err))
			return
		default:
			c.relay(ctx, a)
			return
		}
		c.forget(a)
		if backoff.Sleep(ctx, wait) != nil {
			c.fail(reason.OfContext(ctx), "")
			return
		}
	}
}

// again asks the retry budget for another try after a, if that is safe.
func (c *call) again(a *attempt) (wait time.Duration, ok bool) {
	if c.rec.Tries >= c.tries() || !c.repeatable(a) {
		return 0, false
	}
	why := a.why
	if a.response != nil {
		why = reason.UpstreamUnavailable
	}
	wait, ok = c.up.Retry(why, c.rec.Tries)
	if !ok && a.response == nil {
		a.why, a.err = reason.RetryBudgetExhausted, errors.New(why.Text())
	}
	return wait, ok
}

// cause is what the reason alone does not say; "" when it says all.
func cause(err error) string {
	if e, ok := errors.AsType[*reason.Error](err); ok {
		err = e.Err
		if e.Reason != reason.ConnectRefused && err != nil {
			return err.Error()
		}
	}
	if err == nil || errors.Is(err, syscall.ECONNREFUSED) {
		return ""
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
	if asksToWait(c.up, []byte(a.response.Header.Get("Retry-After"))) {
		return false
	}
	return retry.Status(a.response.StatusCode) || a.response.Header.Get("Grpc-Status") == "14"
}

// forget drops an answer that is not passed on.
func (c *call) forget(a *attempt) {
	if a.response != nil {
		a.end()
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
		sent := c.send(ctx, a, fresh)
		a.latency = time.Since(begin)
		if a.err == nil {
			a.why = reason.OK
			return a // reported when the answer has been passed on
		}
		if fault := c.body.fault(); fault != nil {
			a.err = ofBody(fault)
		}
		a.safe, a.why = sent.Nothing, c.classify(ctx, a.err, sent)
		if sent.Reused && sent.Nothing && !fresh && ctx.Err() == nil && c.body.replayable() {
			a.stale = true
			continue
		}
		e.Report(c.outcome(a))
		return a
	}
}

func (c *call) classify(ctx context.Context, err error, sent Sent) reason.Reason {
	if ctx.Err() != nil {
		return reason.OfContext(ctx)
	}
	if e, ok := errors.AsType[*reason.Error](err); ok {
		return e.Reason
	}
	if sent.Dial {
		return reason.OfDial(err)
	}
	if malformed(err) {
		return reason.UpstreamBadResponse
	}
	return reason.UpstreamReset
}

// malformed tells an answer that net/http does not accept from none: it has no type for that.
func malformed(err error) bool {
	if _, ok := errors.AsType[*net.OpError](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	for _, text := range []string{"malformed", "bad ", "transport connection broken"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// ofBody says why the client's body did not come to its end.
func ofBody(fault error) *reason.Error {
	if e, ok := errors.AsType[*reason.Error](fault); ok {
		return e
	}
	if _, ok := errors.AsType[*http.MaxBytesError](fault); ok {
		return &reason.Error{Reason: reason.ClientBodyTooLarge}
	}
	for _, left := range []error{io.ErrUnexpectedEOF, net.ErrClosed, context.Canceled, syscall.ECONNRESET} {
		if errors.Is(fault, left) {
			return &reason.Error{Reason: reason.ClientAborted}
		}
	}
	return &reason.Error{Reason: reason.ClientBadRequest, Err: fault}
}

// flight is what one request to an endpoint needs while it is under way: one allocation.
type flight struct {
	waiting waiting
	news    news
	body    replayReader
}

// send makes the outgoing request. Its timer goes on in a.wait when there is an answer, and a.cancel is to be called then.
func (c *call) send(ctx context.Context, a *attempt, fresh bool) Sent {
	ctx, cancel := context.WithCancel(ctx)
	f := &flight{}
	w, news, body := &f.waiting, &f.news, &f.body
	body.b, body.wait = c.body, w
	w.start(c.set, c.r.ContentLength != 0, func(why reason.Reason) {
		cancel()
		if why == reason.UpstreamTimeoutIdle && c.w != nil { // or the client does not read
			_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now())
		}
	})
	out := c.outgoing(news.of(ctx, c), body)
	response, sent, err := a.endpoint.RoundTrip(out, fresh)
	news.end()
	switch {
	case err != nil:
	case !w.answered():
		response.Body.Close()
		err = context.Canceled
	case response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols || response.StatusCode > 599:
		response.Body.Close()
		err = &reason.Error{Reason: reason.UpstreamBadResponse, Err: errors.New("status " + response.Status)}
	}
	a.response, a.err, a.wait, a.cancel = response, err, w, cancel
	if err != nil {
		a.response = nil
		if why := w.end(); why != reason.OK {
			a.err = &reason.Error{Reason: why}
		}
		cancel()
	}
	return sent
}
