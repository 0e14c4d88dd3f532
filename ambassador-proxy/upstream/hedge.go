package upstream

import (
	"encoding/hex"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// hedging is when a second request is sent. The percentile is worked out at most once a second.
type hedging struct {
	quantile float64
	fixed    time.Duration
	current  atomic.Int64
	at       atomic.Int64 // Unix nanoseconds of current
}

// HedgeAfter is layer7.Hedged.
func (u *Upstream) HedgeAfter() time.Duration {
	h := &u.hedge
	if h.quantile == 0 || u.config.Hedge == nil {
		return h.fixed
	}
	now := time.Now().UnixNano()
	if at := h.at.Load(); now-at > int64(time.Second) && h.at.CompareAndSwap(at, now) {
		h.current.Store(int64(u.latency.at(h.quantile)))
	}
	return time.Duration(h.current.Load())
}

// Hedge is layer7.Hedged: hedges share the budget of retries, and count as such.
func (u *Upstream) Hedge() bool {
	if !u.budget.Take(time.Now()) {
		u.stats.Refused.Add(1)
		return false
	}
	u.stats.retry(reason.UpstreamTimeoutHeaders)
	return true
}

// appendTrace starts a trace for a request that carries none (w3.org/TR/trace-context, 3.2).
func appendTrace(dst []byte, r *layer7.Request) []byte {
	if r == nil || r.Fields == nil || r.Fields.Get("traceparent") != nil {
		return dst
	}
	var id [24]byte
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	id[0] |= 1 // neither identifier may be all zero
	id[16] |= 1
	dst = hex.AppendEncode(append(dst, "traceparent: 00-"...), id[:16])
	dst = hex.AppendEncode(append(dst, '-'), id[16:])
	return append(dst, "-01\r\n"...)
}
