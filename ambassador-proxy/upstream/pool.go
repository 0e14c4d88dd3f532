package upstream

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
)

const (
	defaultKeepAlive = 30 * time.Second
	staleKeepAlive   = 4 * time.Second // once a reused connection died early
	keepAliveMargin  = time.Second     // less than what the upstream announced
	maxAge           = 10 * time.Minute
)

// pool keeps idle HTTP/1.1 connections of one endpoint, last in first out: the hot ones stay hot, the others age.
type pool struct {
	mu     sync.Mutex
	idle   []idleConn
	born   map[*layer7.Conn]time.Time // when it must not be used again
	open   int
	stale  bool
	closed bool
	keep   time.Duration
}

type idleConn struct {
	conn  *layer7.Conn
	until time.Time
}

func newPool(keep time.Duration) *pool {
	if keep == 0 {
		keep = defaultKeepAlive
	}
	return &pool{keep: keep, born: map[*layer7.Conn]time.Time{}}
}

// get is an idle connection that should still live, or nil.
func (p *pool) get(now time.Time) *layer7.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		last := len(p.idle) - 1
		c := p.idle[last]
		p.idle[last] = idleConn{}
		p.idle = p.idle[:last]
		if now.Before(c.until) {
			return c.conn
		}
		p.drop(c.conn)
	}
	return nil
}

// add takes charge of a new connection.
func (p *pool) add(c *layer7.Conn, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open++
	p.born[c] = now.Add(maxAge - maxAge/10 + rand.N(maxAge/5))
}

// put keeps a connection for as long as the upstream said, or closes it.
func (p *pool) put(c *layer7.Conn, reusable bool, announced time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keep := p.keep
	if p.stale {
		keep = min(keep, staleKeepAlive)
	}
	if announced > 0 {
		keep = announced - keepAliveMargin
	}
	if !reusable || p.closed || keep <= 0 || now.After(p.born[c]) {
		p.drop(c)
		return
	}
	c.Since = now
	p.idle = append(p.idle, idleConn{c, now.Add(keep)})
}

// died notes that a reused connection was dead: the upstream closes idle ones sooner than we thought.
func (p *pool) died() {
	p.mu.Lock()
	p.stale = true
	p.mu.Unlock()
}

func (p *pool) drop(c *layer7.Conn) {
	delete(p.born, c)
	p.open--
	c.Close()
}

// sweep closes idle connections whose time is up.
func (p *pool) sweep(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.idle[:0]
	for _, c := range p.idle {
		if now.Before(c.until) && now.Before(p.born[c.conn]) {
			kept = append(kept, c)
		} else {
			p.drop(c.conn)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
}

// close ends idle connections now and busy ones when they are given back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		p.drop(c.conn)
	}
	p.idle = nil
}

// counts are the open connections and those of them that are idle.
func (p *pool) counts() (open, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, len(p.idle)
}
