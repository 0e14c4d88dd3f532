// Package retry decides whether a failed try may be made again: what is safe, and how much an upstream can bear.
package retry

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// Budget is a token bucket that requests fill and retries empty: at most 20 % of the requests of the last 10 s, plus 3 a
// second for those who send few. It is shared by retries and hedges and charged when a retry is decided, so that an outage
// is never made worse than 1.2 times. Safe for concurrent use.
type Budget struct {
	mu     sync.Mutex
	last   time.Time
	recent [slots]float64 // requests by second
	slot   int64
	floor  float64
	used   [slots]float64
	fresh  atomic.Int64 // counted since the last look
}

const (
	slots = 10 // seconds
	share = 0.2
	// Floor is how many retries a second are allowed whatever the traffic.
	Floor = 3
)

// NewBudget is a budget with a full floor.
func NewBudget(now time.Time) *Budget {
	return &Budget{last: now, slot: now.Unix(), floor: Floor}
}

// Count counts one request towards the budget, at the time of the last look at it: without a clock and a lock. Somebody must
// Advance it each second.
func (b *Budget) Count() { b.fresh.Add(1) }

// Advance lets time pass.
func (b *Budget) Advance(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
}

// Take takes a token for one retry.
func (b *Budget) Take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	switch {
	case sum(&b.used)+1 <= share*sum(&b.recent):
		b.used[b.slot%slots]++
	case b.floor >= 1:
		b.floor--
	default:
		return false
	}
	return true
}

// Tokens is how many retries could be taken now.
func (b *Budget) Tokens(now time.Time) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	return max(share*sum(&b.recent)-sum(&b.used), 0) + b.floor
}

func (b *Budget) advance(now time.Time) {
	b.recent[b.slot%slots] += float64(b.fresh.Swap(0))
	b.floor = min(b.floor+Floor*max(now.Sub(b.last).Seconds(), 0), Floor)
	b.last = now
	for s := now.Unix(); b.slot < s; {
		b.slot = max(b.slot+1, s-slots)
		b.recent[b.slot%slots], b.used[b.slot%slots] = 0, 0
	}
}

func sum(a *[slots]float64) (total float64) {
	for _, v := range a {
		total += v
	}
	return total
}

// Waits between tries: 25 ms doubling to 250 ms, full jitter.
const (
	firstWait = 25 * time.Millisecond
	maxWait   = 250 * time.Millisecond
)

// Wait is how long to wait before another try, after try of them failed for why. A connection that could not be made costs
// the upstream nothing: another endpoint is asked at once.
func Wait(why reason.Reason, try int) time.Duration {
	switch why {
	case reason.ConnectRefused, reason.ConnectTimeout, reason.ConnectFailed:
		if try == 1 {
			return 0
		}
	}
	return rand.N(min(firstWait<<min(try, 8), maxWait))
}

// Idempotent tells whether a request may be sent twice (RFC 9110, 9.2.2), by its method or by an Idempotency-Key.
func Idempotent(method string, hasKey bool) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return hasKey
}

// Status tells whether an answer says that another endpoint may do better.
func Status(code int) bool { return code == 502 || code == 503 || code == 504 }
