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
	waiting atomic.Bool // in a read: net/http has handled all that came before
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

func (c *counted) Read(b []byte) (int, error) {
	c.waiting.Store(true)
	n, err := c.Conn.Read(b)
	c.waiting.Store(false)
	return n, err
}

// rests reports whether the connection is open, and nothing has come behind the last answer, which net/http would take for the
// next one. Guarded by singles.mu.
func (c *counted) rests() bool {
	if !c.waiting.Load() {
		return false
	}
	gone, extra := c.peeker.Look()
	return !gone && !extra
}
