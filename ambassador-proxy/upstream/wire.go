package upstream

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/peek"
)

// counted knows how many bytes were written: none since a request began means that it is safe to send it again.
type counted struct {
	net.Conn
	written atomic.Int64
	peeker  peek.Peeker
}

func newCounted(conn net.Conn) *counted {
	c := &counted{Conn: conn}
	c.peeker.Start(conn)
	return c
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

// CloseWrite keeps the half-close of tunnels.
func (c *counted) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// gone reports whether the upstream has closed. Guarded by singles.mu.
func (c *counted) gone() bool {
	gone, _ := c.peeker.Look()
	return gone
}
