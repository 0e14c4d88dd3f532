package upstream

import (
	"maps"
	"math"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// Stats counts what happened to an upstream: plain atomics, so that nothing is looked up on the way of a request.
type Stats struct {
	Attempts [reason.Count]atomic.Int64
	Retries  [reason.Count]atomic.Int64
	DNSGood  atomic.Int64
	DNSBad   atomic.Int64
	Refused  atomic.Int64 // retries and hedges that the budget did not allow

	mu        sync.Mutex
	ejections map[string]int64
	missed    map[string]int64
}

func (s *Stats) attempt(r reason.Reason) { s.Attempts[r].Add(1) }
func (s *Stats) retry(r reason.Reason)   { s.Retries[r].Add(1) }

func (s *Stats) dns(ok bool) {
	if ok {
		s.DNSGood.Add(1)
	} else {
		s.DNSBad.Add(1)
	}
}

func (s *Stats) ejection(why string) { s.count(&s.ejections, why) }

// NotMirrored is layer7.Mirrored.
func (u *Upstream) NotMirrored(why string) { u.stats.count(&u.stats.missed, why) }

func (s *Stats) count(by *map[string]int64, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *by == nil {
		*by = map[string]int64{}
	}
	(*by)[why]++
}

// Ejections by reason.
func (s *Stats) Ejections() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.ejections)
}

// NotMirrored are the copies that were not sent there, by reason.
func (s *Stats) NotMirrored() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.missed)
}

// Stats of the upstream.
func (u *Upstream) Stats() *Stats { return &u.stats }

// Facts are what metrics and the status page show.
type Facts struct {
	Waiting, Working int
	Tokens           float64
	Retries          int64
	Good, Bad        int // tries of the last ten seconds
	States           map[health.State]int
	Open, Idle       int // connections
	DNSAge           time.Duration
	Known            bool
	DNSError         error
	Panic            bool
	CertNotAfter     time.Time
	P50, P99         time.Duration
}

// Facts as they stand now.
func (u *Upstream) Facts(now time.Time) Facts {
	f := Facts{States: map[health.State]int{}, Tokens: u.budget.Tokens(now), DNSError: u.watcher.Err()}
	f.Waiting, f.Working = u.queue.Depth()
	f.DNSAge, f.Known = u.watcher.Age(now)
	f.CertNotAfter, _ = u.tls.NotAfter()
	f.P50, f.P99 = u.latency.at(0.5), u.latency.at(0.99)
	for i := range u.stats.Retries {
		f.Retries += u.stats.Retries[i].Load()
	}
	s := u.set.Load()
	f.Panic = s.panicky
	for _, e := range s.all {
		f.States[e.State()]++
		good, bad := e.Recent(now)
		f.Good, f.Bad = f.Good+good, f.Bad+bad
		open, idle := e.counts()
		f.Open += open
		f.Idle += idle
	}
	return f
}

// Connections are the endpoint's open connections.
func (e *Endpoint) Connections() int {
	open, _ := e.counts()
	return open
}

// counts are the open connections and those of them that are idle.
func (e *Endpoint) counts() (open, idle int) {
	open, idle = e.pool.counts()
	more, resting := e.clients.counts()
	return open + more, idle + resting
}

// quantiles keeps the latest latencies in a ring, for hedging and for the status page.
type quantiles struct {
	ring [512]atomic.Int64
	next atomic.Uint64
}

func (q *quantiles) observe(d time.Duration) {
	q.ring[q.next.Add(1)%uint64(len(q.ring))].Store(int64(d))
}

// at is the given quantile; 0 without observations.
func (q *quantiles) at(p float64) time.Duration {
	var all []int64
	for i := range q.ring {
		if v := q.ring[i].Load(); v > 0 {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return 0
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	return time.Duration(all[int(math.Ceil(p*float64(len(all))))-1])
}
