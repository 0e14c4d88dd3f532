// Package backoff spaces retries: full jitter, as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
package backoff

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Backoff gives growing, jittered delays. Not safe for concurrent use.
type Backoff struct {
	min, max, ceiling time.Duration
}

// New gives delays between smallest and largest, whose ceiling doubles with each call.
func New(smallest, largest time.Duration) *Backoff {
	return &Backoff{min: smallest, max: largest}
}

// Next is the delay before the next try: random between min and the ceiling, which doubles up to max.
func (b *Backoff) Next() time.Duration {
	b.ceiling = min(max(2*b.ceiling, b.min), b.max)
	return b.min + rand.N(b.ceiling-b.min+1)
}

// Reset begins anew after a success.
func (b *Backoff) Reset() { b.ceiling = 0 }

// RetryAfter reads a Retry-After header (RFC 9110, 10.2.3): seconds or a date. A date in the past is zero.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}

// Sleep waits for d, or returns the context's error when that ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
