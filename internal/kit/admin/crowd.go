package admin

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// Crowd is a ConnState of an http.Server that bounds its connections to most. One too many takes the place of the one that has
// been silent for longest, so that whoever holds all of them open cannot keep a probe or a scrape waiting.
func Crowd(most int) func(net.Conn, http.ConnState) { return (&crowd{most: most}).note }

type crowd struct {
	most  int
	mu    sync.Mutex
	conns []net.Conn // longest silent first
}

func (c *crowd) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateIdle {
		return
	}
	c.conns = slices.DeleteFunc(c.conns, func(other net.Conn) bool { return other == conn })
	if state == http.StateNew || state == http.StateActive {
		c.conns = append(c.conns, conn)
	}
	if len(c.conns) > c.most {
		_ = c.conns[0].Close()
		c.conns = slices.Delete(c.conns, 0, 1)
	}
}
