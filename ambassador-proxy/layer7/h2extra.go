package layer7

import (
	"context"
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
		c.fail(reason.RequestTimeout, "")
		return true
	}
	switch {
	case fault.Abort:
		c.rec.Reason = reason.FaultInjected
		panic(http.ErrAbortHandler)
	case fault.Status > 0:
		c.rec.Reason, c.rec.Status = reason.FaultInjected, fault.Status
		c.w.Header().Set("X-Ambassador-Error", reason.FaultInjected.String())
		c.w.WriteHeader(fault.Status)
		return true
	}
	return false
}
