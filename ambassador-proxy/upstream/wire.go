package upstream

import (
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// counted knows how many bytes were written: none since a request began means that it is safe to send it again.
type counted struct {
	net.Conn
	written atomic.Int64

	raw    syscall.RawConn // nil when there is none
	lookFn func(uintptr)   // bound once
	closed bool            // what it saw; guarded by singles.mu
}

func newCounted(conn net.Conn) *counted {
	c := &counted{Conn: conn}
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if s, ok := conn.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn()
		c.lookFn = c.look
	}
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

// gone reports whether the upstream has closed, without waiting and without taking a byte: net/http notices only when its
// reader has been scheduled, and a request that is written in between cannot always be sent again.
func (c *counted) gone() bool {
	if c.raw == nil {
		return false
	}
	c.closed = false
	return c.raw.Control(c.lookFn) != nil || c.closed
}

// look runs inside Control: the descriptor is open and the call returns at once.
func (c *counted) look(fd uintptr) {
	var b [1]byte
	n, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	c.closed = e == 0 && n == 0 || e != 0 && e != syscall.EAGAIN && e != syscall.EINTR
}
