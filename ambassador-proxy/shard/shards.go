package shard

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/balance"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// Map says which shard of an upstream holds a key. It follows the upstream's endpoints. Safe for concurrent use.
type Map struct {
	up   *upstream.Upstream
	hash func([]byte) uint32
	tag  string

	metrics *Metrics // may be nil

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
	downTill atomic.Int64                      // Unix nanoseconds: connecting has just failed
	failure  atomic.Pointer[error]
	requests counter
}

type counter interface{ Inc() }

// Name is the name in the ring, as twemproxy writes it: host:port, or the host alone with memcached's own port.
func (s *Shard) Name() string { return s.name }

// NewMap makes the map of an upstream whose URL is redis, rediss or memcached.
func NewMap(up *upstream.Upstream) *Map {
	c := up.Config()
	m := &Map{up: up, hash: hashOf(c.Hash), tag: c.HashTag, known: map[string]*Shard{}}
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
	ends := m.up.Endpoints()
	if len(ends) == 0 {
		e, err := m.up.Choose(ctx, layer7.Pick{}) // it waits
		if err != nil {
			return nil, err
		}
		e.Load().End()
		ends = m.up.Endpoints()
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
			s = &Shard{name: name}
			if m.metrics != nil {
				s.requests = m.metrics.requests.WithLabelValues(m.up.Name(), name)
			}
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

const downFor = time.Second // how long a shard is not dialled after that failed

// dial connects to the shard. After a failure the next second's callers get the same error at once: one dead shard must
// not hold up the keys of the others.
func (s *Shard) dial(ctx context.Context) (net.Conn, error) {
	if time.Now().UnixNano() < s.downTill.Load() {
		if err := s.failure.Load(); err != nil {
			return nil, *err
		}
	}
	e := s.endpoint.Load()
	if e == nil {
		return nil, &reason.Error{Reason: reason.NoEndpoint, Err: fmt.Errorf("the name has no address now")}
	}
	c, err := e.Dial(ctx)
	if err != nil {
		err = fmt.Errorf("%s", reason.OfDial(err).Text())
		s.down(err)
		return nil, err
	}
	return c, nil
}

func (s *Shard) down(err error) {
	s.failure.Store(&err)
	s.downTill.Store(time.Now().Add(downFor).UnixNano())
}
