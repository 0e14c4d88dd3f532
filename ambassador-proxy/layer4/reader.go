package layer4

import (
	"io"
	"net"
	"sync"
	"syscall"
)

const bufferBytes = 16 << 10

var buffers = sync.Pool{New: func() any { return new([bufferBytes]byte) }}

// reader reads one side of a connection. It holds a buffer only while there is something in it, since most of what is
// carried at any time waits. Not safe for concurrent use.
type reader struct {
	conn  net.Conn
	raw   syscall.RawConn // nil: not a bare socket
	ready func(fd uintptr) bool
	buf   *[bufferBytes]byte
	n     int
	err   error // of the system call
}

func newReader(c net.Conn) *reader {
	r := &reader{conn: c}
	switch c := c.(type) {
	case *net.TCPConn:
		r.raw, _ = c.SyscallConn()
	case *net.UnixConn:
		r.raw, _ = c.SyscallConn()
	}
	r.ready = r.take
	return r
}

// next waits for bytes; they are good until done.
func (r *reader) next() ([]byte, error) {
	if r.raw == nil {
		r.buf = buffers.Get().(*[bufferBytes]byte)
		n, err := r.conn.Read(r.buf[:])
		return r.buf[:n], err
	}
	switch err := r.raw.Read(r.ready); {
	case err != nil:
		return nil, err
	case r.err != nil:
		return nil, r.err
	case r.n == 0:
		return nil, io.EOF
	}
	return r.buf[:r.n], nil
}

// take reads without waiting; false: there is nothing yet.
func (r *reader) take(fd uintptr) bool {
	r.buf = buffers.Get().(*[bufferBytes]byte)
	for r.n, r.err = syscall.Read(int(fd), r.buf[:]); r.err == syscall.EINTR; {
		r.n, r.err = syscall.Read(int(fd), r.buf[:])
	}
	if r.err != syscall.EAGAIN {
		return true
	}
	r.done()
	return false
}

// done gives the buffer back.
func (r *reader) done() {
	if r.buf != nil {
		buffers.Put(r.buf)
		r.buf = nil
	}
}
