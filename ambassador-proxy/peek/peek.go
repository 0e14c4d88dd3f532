// Package peek looks at sockets without waiting and without taking a byte: a reader notices that the peer has closed only when it
// gets to run, and a request that is written in between cannot always be sent again.
package peek

import (
	"crypto/tls"
	"net"
	"syscall"
	"unsafe"
)

// Peeker looks at one socket, without allocating. It is used by one goroutine at a time; its zero value sees nothing.
type Peeker struct {
	raw         syscall.RawConn
	lookFn      func(uintptr) // bound once
	gone, extra bool
}

// Start has p look at the socket of conn, or at the one below its TLS; at none when there is none.
func (p *Peeker) Start(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if s, ok := conn.(syscall.Conn); ok {
		p.raw, _ = s.SyscallConn()
		p.lookFn = p.look
	}
}

// Look tells whether the connection is closed, by the peer or here, and whether bytes wait to be read.
func (p *Peeker) Look() (gone, extra bool) {
	if p.raw == nil {
		return false, false
	}
	p.gone, p.extra = false, false
	if p.raw.Control(p.lookFn) != nil {
		return true, false
	}
	return p.gone, p.extra
}

// look runs inside Control: the descriptor is open, and the call returns at once.
func (p *Peeker) look(fd uintptr) {
	var b [1]byte
	n, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	p.gone = e == 0 && n == 0 || e != 0 && e != syscall.EAGAIN && e != syscall.EINTR
	p.extra = e == 0 && n > 0
}
