// Package health remembers which endpoints work. Records are keyed by upstream and address, so that they survive a DNS
// refresh and a reload.
package health

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	consecutive = 5 // failures in a row that eject
	minRequests = 10
	minSuccess  = 0.8
	firstEject  = time.Second
	maxEject    = time.Minute
)

// State of an endpoint.
type State uint8

const (
	Healthy State = iota
	Ejected       // failed; nobody is sent there until its time is up
	Probing       // its time is up: one real request decides
	Down          // an active check says so
)

func (s State) String() string {
	return [...]string{"healthy", "ejected", "probing", "down"}[s]
}

// Record is the health of one endpoint. Safe for concurrent use.
type Record struct {
	mu       sync.Mutex
	state    State
	row      int       // failures in a row
	until    time.Time // of an ejection
	eject    time.Duration
	probing  bool // the probe is under way
	good     [10]int32
	bad      [10]int32
	slot     int64
	downRow  int
	upRow    int
	lastWhy  string
	lastFail time.Time
}

// Result notes how a request ended. It returns why the endpoint should be ejected ("" if not): the group decides, because
// at most half may be.
func (r *Record) Result(ok bool, now time.Time) (eject string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(now)
	i := r.slot % 10
	if ok {
		r.good[i]++
		r.row = 0
		if r.state == Probing {
			r.state, r.probing, r.eject = Healthy, false, 0
			r.good, r.bad = [10]int32{}, [10]int32{}
		}
		return ""
	}
	r.bad[i]++
	r.row++
	r.lastFail = now
	switch {
	case r.state == Probing:
		return "probe_failed"
	case r.state != Healthy:
		return ""
	case r.row >= consecutive:
		return "consecutive_failures"
	}
	good, bad := total(&r.good), total(&r.bad)
	if n := good + bad; n >= minRequests && float64(good) < minSuccess*float64(n) {
		return "success_rate"
	}
	return ""
}

// Eject takes the endpoint out, for twice as long as the time before, and says until when.
func (r *Record) Eject(why string, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.eject = min(max(2*r.eject, firstEject), maxEject)
	r.out(now.Add(r.eject+rand.N(r.eject/2)), why)
	return r.until
}

// EjectFor is Eject for the same time whatever came before.
func (r *Record) EjectFor(d time.Duration, why string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out(now.Add(d), why)
}

func (r *Record) out(until time.Time, why string) {
	r.until, r.state, r.probing, r.row, r.lastWhy = until, Ejected, false, 0, why
}

// Probe claims the one request that decides whether an ejected endpoint is well again.
func (r *Record) Probe(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == Ejected && !now.Before(r.until) {
		r.state = Probing
	}
	if r.state != Probing || r.probing {
		return false
	}
	r.probing = true
	return true
}

// Unprobe gives the probe back when the request ended without saying anything about the endpoint.
func (r *Record) Unprobe() {
	r.mu.Lock()
	r.probing = false
	r.mu.Unlock()
}

// Checked notes the result of an active check.
func (r *Record) Checked(ok bool, fall, rise int) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.state
	if ok {
		r.upRow, r.downRow = r.upRow+1, 0
		if r.state == Down && r.upRow >= rise {
			r.state = Healthy
		}
	} else {
		r.upRow, r.downRow = 0, r.downRow+1
		if r.downRow >= fall {
			r.state = Down
		}
	}
	return before != r.state
}

// State is how the endpoint stands, and until when an ejection lasts.
func (r *Record) State() (State, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.until
}

// Recent is how the requests of the last ten seconds ended.
func (r *Record) Recent(now time.Time) (good, bad int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(now)
	return int(total(&r.good)), int(total(&r.bad))
}

func (r *Record) advance(now time.Time) {
	for s := now.Unix(); r.slot < s; {
		r.slot = max(r.slot+1, s-10)
		r.good[r.slot%10], r.bad[r.slot%10] = 0, 0
	}
}

func total(a *[10]int32) (sum int32) {
	for _, v := range a {
		sum += v
	}
	return sum
}

// Registry keeps the records of all upstreams.
type Registry struct {
	mu      sync.Mutex
	records map[[2]string]*Record
}

// NewRegistry is empty.
func NewRegistry() *Registry { return &Registry{records: map[[2]string]*Record{}} }

// Of is the record of an endpoint; a new one is healthy. upstream tells apart those that must not share their history: the
// name with the URL.
func (g *Registry) Of(upstream, address string) *Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := [2]string{upstream, address}
	r := g.records[key]
	if r == nil {
		if len(g.records) > 10000 { // addresses of many deployments; forget them all rather than grow
			clear(g.records)
		}
		r = &Record{}
		g.records[key] = r
	}
	return r
}
