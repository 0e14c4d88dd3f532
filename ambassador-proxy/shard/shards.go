package shard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/balance"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// Map says which shard of an upstream holds a key. It follows the upstream's endpoints. Safe for concurrent use.
type Map struct {
	up   *upstream.Upstream
	hash func([]byte) uint32
	tag  string

	metrics *Metrics

	mu    sync.Mutex // of building a ring
	known map[string]*Shard
	ring  atomic.Pointer[ring]
}

// ring is one state of a Map: immutable.
type ring struct {
	of     []*upstream.Endpoint // what it was made of
	shards []*Shard
	points *balance.Continuum
}

// Shard is one server of the ring. Its name, and so its keys, outlives a change of its address.
type Shard struct {
	name     string
	endpoint atomic.Pointer[upstream.Endpoint] // nil: its name has no address now
	failure  atomic.Pointer[string]            // the last one, in words
	attempts *[reason.Count]atomic.Int64       // of the upstream
	requests prometheus.Counter
	errors   *prometheus.CounterVec // curried to the shard

	mu      sync.Mutex
	trunks  map[string]*trunk // by what their clients have said of themselves
	tried   time.Time         // to make one
	retired bool              // no more are made
}

// Name is the name in the ring, as twemproxy writes it: host:port, or the host alone with memcached's own port.
func (s *Shard) Name() string { return s.name }

// NewMap makes the map of an upstream whose URL is redis, rediss or memcached. metrics may be nil.
func NewMap(up *upstream.Upstream, metrics *Metrics) *Map {
	if metrics == nil {
		metrics = NewMetrics(prometheus.NewRegistry())
	}
	c := up.Config()
	m := &Map{up: up, hash: hashOf(c.Hash), tag: c.HashTag, metrics: metrics, known: map[string]*Shard{}}
	switch m.tag {
	case "":
		m.tag = "{}"
	case "off":
		m.tag = ""
	}
	return m
}

// Ring is the current ring. It waits for the first endpoints.
func (m *Map) Ring(ctx context.Context) (*ring, error) {
	ends, err := m.up.Await(ctx)
	if err != nil {
		return nil, err
	}
	if r := m.ring.Load(); r != nil && same(r.of, ends) {
		return r, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.build(ends)
	m.ring.Store(r)
	return r, nil
}

// current is the ring if it can be told without a wait.
func (m *Map) current() *ring {
	if r := m.ring.Load(); r != nil && same(r.of, m.up.Endpoints()) {
		return r
	}
	return nil
}

func same(a, b []*upstream.Endpoint) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// build makes a ring. When the URL lists hosts, they are the ring, whether or not they have an address now: a shard that
// is away must not move keys. Otherwise (one name with many addresses, SRV, a file) the endpoints are.
func (m *Map) build(ends []*upstream.Endpoint) *ring {
	r := &ring{of: ends}
	var names []string
	var weights []int
	add := func(name string, weight int, e *upstream.Endpoint) {
		s := m.known[name]
		if s == nil {
			s = &Shard{name: name, attempts: &m.up.Stats().Attempts, trunks: map[string]*trunk{}}
			s.requests, s.errors = m.metrics.of(m.up.Name(), name)
			m.known[name] = s
		}
		s.endpoint.Store(e)
		r.shards, names, weights = append(r.shards, s), append(names, name), append(weights, weight)
	}
	target := m.up.Target()
	if len(target.Hosts) > 1 {
		for _, h := range target.Hosts {
			add(m.nameOf(h.Host, h.Port), 1, find(ends, h))
		}
	} else {
		for _, e := range ends {
			host, port, err := net.SplitHostPort(e.Address())
			if target.Source != config.FromHosts {
				host = e.Host()
			}
			if err != nil { // unix:/path
				add(e.Address(), e.Weight(), e)
				continue
			}
			add(m.nameOf(host, port), e.Weight(), e)
		}
	}
	r.points = balance.NewContinuum(names, weights)
	return r
}

// memcachedPort is left out of names, by libketama's custom; twemproxy does so for Redis too.
const memcachedPort = "11211"

func (m *Map) nameOf(host, port string) string {
	if port == memcachedPort {
		return host
	}
	return host + ":" + port
}

func find(ends []*upstream.Endpoint, h config.HostPort) *upstream.Endpoint {
	for _, e := range ends {
		if e.Host() == h.Host && strings.HasSuffix(e.Address(), ":"+h.Port) {
			return e
		}
	}
	return nil
}

// of is the shard of a key. As in twemproxy the empty key hashes to 0.
func (m *Map) of(r *ring, key []byte) *Shard {
	if len(r.shards) == 1 {
		return r.shards[0]
	}
	key = tagged(key, m.tag)
	if len(key) == 0 {
		return r.shards[r.points.At(0)]
	}
	return r.shards[r.points.At(m.hash(key))]
}

// Place is where a key lies and why.
type Place struct {
	Hashed  string // the part of the key that counts
	Hash    uint32
	Shard   string
	Address string // "": its name has no address now
}

// Find is the place of a key.
func (m *Map) Find(ctx context.Context, key []byte) (Place, error) {
	r, err := m.Ring(ctx)
	if err != nil {
		return Place{}, err
	}
	s, hashed := m.of(r, key), tagged(key, m.tag)
	p := Place{Hashed: string(hashed), Hash: m.hash(hashed), Shard: s.name}
	if e := s.endpoint.Load(); e != nil {
		p.Address = e.Address()
	}
	return p, nil
}

// claim begins a batch at the shard. While it is out the error comes at once: one dead shard must not hold up the keys of the
// others.
func (s *Shard) claim(e *upstream.Endpoint, now time.Time) error {
	if e.Claim(now) {
		return nil
	}
	s.errors.WithLabelValues("ejected").Inc()
	text := e.State().String()
	if why := s.failure.Load(); why != nil {
		text = *why
	}
	return fmt.Errorf("%s (out of use, tried again every second)", text)
}

// admit claims a batch at the shard, for a connection that is still to be made.
func (s *Shard) admit(now time.Time) (*upstream.Endpoint, error) {
	e := s.endpoint.Load()
	if e == nil {
		s.errors.WithLabelValues(reason.NoEndpoint.String()).Inc()
		return nil, errors.New("the name has no address now")
	}
	return e, s.claim(e, now)
}

// unreachable takes the shard out.
func (s *Shard) unreachable(e *upstream.Endpoint, why reason.Reason, text string) {
	s.failure.Store(&text)
	s.errors.WithLabelValues(why.String()).Inc()
	e.Unreachable(why)
}

// failed notes requests that will have no answer.
func (s *Shard) failed(n int, why reason.Reason) {
	if why != reason.ClientAborted {
		text := why.Text()
		s.failure.Store(&text)
		s.errors.WithLabelValues(why.String()).Add(float64(n))
	}
}
