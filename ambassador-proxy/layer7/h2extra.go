package layer7

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/backoff"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// Faulty is an Upstream with faults on purpose.
type Faulty interface {
	// Fault says what to do to a share of the requests; nil: nothing.
	Fault() *Fault
}

// Fault is chaos for a share of the requests.
type Fault struct {
	Percent float64
	Delay   time.Duration
	Status  int  // answer this; 0: go on
	Abort   bool // cut the connection
}

// disturbed applies the upstream's fault; true when the request has ended with it.
func (c *call) disturbed(ctx context.Context) bool {
	f, ok := c.up.(Faulty)
	if !ok || f.Fault() == nil || rand.Float64()*100 >= f.Fault().Percent {
		return false
	}
	fault := f.Fault()
	if fault.Delay > 0 && backoff.Sleep(ctx, fault.Delay) != nil {
		c.fail(reason.OfContext(ctx), "")
		return true
	}
	switch {
	case fault.Abort:
		c.rec.Reason = reason.FaultInjected
		panic(http.ErrAbortHandler)
	case fault.Status > 0 && c.grpc:
		c.fail(reason.FaultInjected, "")
		return true
	case fault.Status > 0:
		c.rec.Reason, c.rec.Status = reason.FaultInjected, fault.Status
		c.w.Header().Set("X-Ambassador-Error", reason.FaultInjected.String())
		c.w.WriteHeader(fault.Status)
		return true
	}
	return false
}

// Mirror is a second upstream that gets copies of a share of the requests.
type Mirror struct {
	To      Upstream
	Percent float64
}

// Mirroring is a Route that knows of mirrors.
type Mirroring interface {
	// Mirror of the requests that are like r; nil: none.
	Mirror(r *Request) *Mirror
}

// Mirrored is an Upstream that counts the copies that were not sent to it.
type Mirrored interface {
	// NotMirrored is told why: "busy" past the copies in flight, "body" when that is too large, or its size not known, or the word
	// of the reason why it could not be tried.
	NotMirrored(why string)
}

const (
	mirrorTime     = 30 * time.Second // for a copy, whose answer nobody waits for
	mirrorInFlight = 256              // copies past it are not made: they must not hurt the original
)

// mirror sends a copy of the request beside it. Only requests whose body is known to fit the replay buffer are copied;
// the answer is read and thrown away.
func (c *call) mirror() {
	route, ok := c.s.cfg.Route.(Mirroring)
	if !ok || c.upgrade != "" {
		return
	}
	m := route.Mirror(&c.view)
	if m == nil || rand.Float64()*100 >= m.Percent {
		return
	}
	if c.r.ContentLength < 0 || c.r.ContentLength > int64(c.body.keep) {
		m.missed("body")
		return
	}
	if c.s.mirrors.Add(1) > mirrorInFlight {
		c.s.mirrors.Add(-1)
		m.missed("busy")
		return
	}
	body, err := io.ReadAll(c.body.reader(nil)) // kept for the original, too
	if err != nil || !c.body.replayable() {
		c.s.mirrors.Add(-1)
		return
	}
	copied := &call{s: c.s, view: c.view, up: m.To, set: m.To.Settings(), grpc: c.grpc,
		r: c.r.Clone(context.WithoutCancel(c.r.Context())), body: newReplay(io.NopCloser(bytes.NewReader(body)), c.body.keep)}
	c.s.copies.Go(func() {
		defer c.s.mirrors.Add(-1)
		ctx, cancel := context.WithTimeout(c.s.life, mirrorTime)
		defer cancel()
		if why := copied.sendCopy(ctx); why != reason.OK {
			m.missed(why.String())
		}
	})
}

func (m *Mirror) missed(why string) {
	if u, ok := m.To.(Mirrored); ok {
		u.NotMirrored(why)
	}
}

// sendCopy says why the copy was not sent anywhere. What was sent is among the tries of its upstream, however that ended.
func (c *call) sendCopy(ctx context.Context) (why reason.Reason) {
	if err := c.up.Admit(ctx); err != nil {
		return reason.OfDial(err)
	}
	defer c.up.Leave()
	a, err := c.try(ctx)
	if err != nil {
		return reason.OfDial(err)
	}
	if a.response != nil {
		_, _ = io.Copy(io.Discard, a.response.Body)
		a.end()
		a.endpoint.Report(c.outcome(a))
	}
	return reason.OK
}
