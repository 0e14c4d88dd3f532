package admin

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// crowd bounds the connections. One too many takes the place of the one that has been silent for longest, so that whoever
// holds all of them open cannot keep the kubelet's probe waiting until it kills the helper.
type crowd struct {
	mu    sync.Mutex
	conns []net.Conn // longest silent first
}

// note is an http.Server's ConnState.
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
	if len(c.conns) > maxConnections {
		_ = c.conns[0].Close()
		c.conns = slices.Delete(c.conns, 0, 1)
	}
}
