package upstream

import (
	"context"
	"fmt"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// What the sharding engine needs: the key names the endpoint, and no other can take its place.

// retryShard is how long a shard stays out: others would not share its load, they would miss its keys.
const retryShard = time.Second

// Await is Endpoints, once the first are known.
func (u *Upstream) Await(ctx context.Context) ([]*Endpoint, error) {
	if ends := u.Endpoints(); len(ends) > 0 {
		return ends, nil
	}
	if err := u.await(ctx); err != nil {
		return nil, err
	}
	ends := u.Endpoints()
	if len(ends) == 0 {
		return nil, &reason.Error{Reason: reason.NoEndpoint, Err: fmt.Errorf("upstream %s has no address", u.name)}
	}
	return ends, nil
}

// Claim begins a request to this endpoint; Report, Unreachable or Unclaim ends it. It is false while the endpoint is out.
func (e *Endpoint) Claim(now time.Time) bool {
	switch e.State() {
	case health.Healthy:
	case health.Down:
		return false
	default:
		if !e.record.Probe(now) {
			return false
		}
	}
	e.load.Begin()
	return true
}

// ReportMany is Report for n claims that ended alike.
func (e *Endpoint) ReportMany(n int, o layer7.Outcome) {
	for range n - 1 {
		e.load.End()
	}
	e.up.stats.Attempts[o.Reason].Add(int64(n - 1))
	e.Report(o)
}

// Unclaim ends a claim of which nothing came.
func (e *Endpoint) Unclaim() {
	e.load.End()
	e.record.Unprobe()
}

// Unreachable ends a claim for which no connection could be made. The endpoint is out at once: its keys fail without a wait
// until one request has found it again.
func (e *Endpoint) Unreachable(why reason.Reason) {
	e.load.End()
	e.up.stats.attempt(why)
	if why.Client() {
		e.record.Unprobe()
		return
	}
	if notConnected(why) {
		e.up.watcher.Early()
	}
	now := time.Now()
	because := e.record.Result(false, now)
	if because == "" {
		because = "unreachable"
	}
	e.up.eject(e, because, now)
}
