package upstream

import (
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
)

// Pool keeps idle HTTP/1.1 connections of one endpoint, last in first out: the hot ones stay hot, the others age.
type Pool struct {
	mu     sync.Mutex
	idle   []idleConn
	open   int
	closed bool
	idling *idling
}

type idleConn struct {
	conn  *layer7.Conn
	until time.Time
}

// NewPool is a pool with the defaults.
func NewPool() *Pool { return newPool(&idling{keep: defaultKeepAlive}) }

func newPool(i *idling) *Pool {
	return &Pool{idling: i}
}

// Get is an idle connection that should still live, or nil.
func (p *Pool) Get(now time.Time) *layer7.Conn {
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

// Add takes charge of a new connection.
func (p *Pool) Add(c *layer7.Conn, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open++
	c.Old = oldAt(now)
}

// Put keeps a connection for as long as the upstream said, or closes it.
func (p *Pool) Put(c *layer7.Conn, reusable bool, announced time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keep := p.idling.after(announced)
	if !reusable || p.closed || keep <= 0 || now.After(c.Old) {
		p.drop(c)
		return
	}
	c.Since = now
	p.idle = append(p.idle, idleConn{c, now.Add(keep)})
}

func (p *Pool) drop(c *layer7.Conn) {
	p.open--
	c.Close()
}

// Sweep closes idle connections whose time is up.
func (p *Pool) Sweep(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.idle[:0]
	for _, c := range p.idle {
		if now.Before(c.until) && now.Before(c.conn.Old) {
			kept = append(kept, c)
		} else {
			p.drop(c.conn)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
}

// Close ends idle connections now and busy ones when they are given back.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		p.drop(c.conn)
	}
	p.idle = nil
}

// Died notes that a reused connection was dead.
func (p *Pool) Died() { p.idling.died() }

// Open is how many connections there are, idle and busy.
func (p *Pool) Open() int {
	open, _ := p.counts()
	return open
}

// counts are the open connections and those of them that are idle.
func (p *Pool) counts() (open, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, len(p.idle)
}
