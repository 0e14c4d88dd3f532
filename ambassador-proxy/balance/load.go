// Package balance chooses one of an upstream's endpoints. A policy is a file; it sees items and their load, and knows no
// protocol.
package balance

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	decay     = 10 * time.Second // time constant of the average
	startCost = 30 * time.Millisecond
	penalty   = 5 * time.Second // latency that an overloaded answer counts as
)

// Load is what is known about one endpoint: requests in flight and a peak-sensitive moving average of its latency (as
// Finagle's PeakEwma: it jumps up at once and comes down slowly). The zero value is not ready: NewLoad.
type Load struct {
	inFlight atomic.Int64
	cost     atomic.Uint64 // float64 bits, seconds
	stamp    atomic.Int64  // Unix nanoseconds of the last observation
	born     time.Time
}

// NewLoad is an endpoint without history.
func NewLoad(now time.Time) *Load {
	l := &Load{born: now}
	l.cost.Store(math.Float64bits(startCost.Seconds()))
	l.stamp.Store(now.UnixNano())
	return l
}

// Begin counts a request in flight, End takes it off.
func (l *Load) Begin()          { l.inFlight.Add(1) }
func (l *Load) End()            { l.inFlight.Add(-1) }
func (l *Load) InFlight() int64 { return l.inFlight.Load() }
func (l *Load) Born() time.Time { return l.born }

// Observe adds one latency. overloaded says that the answer asked to come back later.
func (l *Load) Observe(latency time.Duration, overloaded bool, now time.Time) {
	if overloaded {
		latency = max(latency, penalty)
	}
	v := latency.Seconds()
	for {
		old := l.cost.Load()
		have := math.Float64frombits(old)
		next := v
		if v < have {
			elapsed := float64(now.UnixNano() - l.stamp.Load())
			w := math.Exp(-max(elapsed, 0) / float64(decay))
			next = have*w + v*(1-w)
		}
		if l.cost.CompareAndSwap(old, math.Float64bits(next)) {
			l.stamp.Store(now.UnixNano())
			return
		}
	}
}

// Latency is the average as it stands now: without news it decays towards zero, so that a slow endpoint is tried again.
func (l *Load) Latency(now time.Time) time.Duration {
	elapsed := float64(now.UnixNano() - l.stamp.Load())
	v := math.Float64frombits(l.cost.Load()) * math.Exp(-max(elapsed, 0)/float64(decay))
	return time.Duration(v * float64(time.Second))
}

func (l *Load) score(now time.Time) float64 {
	return (l.Latency(now).Seconds() + 1e-6) * float64(l.inFlight.Load()+1)
}
