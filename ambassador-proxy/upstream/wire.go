package upstream

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
)

// counted knows how many bytes were written: none since a request began means that it is safe to send it again.
type counted struct {
	net.Conn
	written atomic.Int64
	gather  atomic.Pointer[layer7.Gather] // of HTTP/2, once it is known to be that

	raw    syscall.RawConn // nil when there is none
	lookFn func(uintptr)   // bound once
	closed bool            // what it saw; guarded by clients.mu

	quiet atomic.Bool // nobody wants to know of reads any more
	mu    sync.Mutex
	heard bool   // a read has brought something
	again bool   // and its reader, done with that, has come for more
	told  func() // called then; nil: nobody wants to know
}

func newCounted(conn net.Conn) *counted {
	c := &counted{Conn: conn}
	if s, ok := conn.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn()
		c.lookFn = c.look
	}
	return c
}

// heardOnce calls f when the first that the upstream says has been taken in. With anew that only counts from now on: what was
// read before was a TLS handshake.
func (c *counted) heardOnce(anew bool, f func()) {
	c.mu.Lock()
	if anew {
		c.heard, c.again = false, false
	}
	now := c.again
	if !now {
		c.told = f
	}
	c.mu.Unlock()
	if now {
		f()
	}
}

func (c *counted) Read(b []byte) (int, error) {
	if c.quiet.Load() {
		return c.Conn.Read(b)
	}
	if f := c.comesAgain(); f != nil {
		c.quiet.Store(true)
		f()
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.mu.Lock()
		c.heard = true
		c.mu.Unlock()
	}
	return n, err
}

func (c *counted) comesAgain() (tell func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.heard {
		tell, c.told, c.again = c.told, nil, true
	}
	return tell
}

func (c *counted) Write(b []byte) (int, error) {
	if to := c.gather.Load(); to != nil {
		return to.Write(b)
	}
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

// SetWriteDeadline is called twice a write by net/http; what gathers has its own.
func (c *counted) SetWriteDeadline(t time.Time) error {
	if c.gather.Load() != nil {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// Close closes behind what waits.
func (c *counted) Close() error {
	if to := c.gather.Load(); to != nil {
		return to.Close()
	}
	return c.Conn.Close()
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
