package layer7

import (
	"io"
	"net"
	"os"
	"syscall"
)

// BelowTLS is the connection on which TLS with an upstream should be put, instead of c, so that its records are moved by raw
// calls as the bytes of plain sockets are.
func BelowTLS(c net.Conn) net.Conn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return c
	}
	b := &below{TCPConn: t, raw: raw}
	b.readFn, b.writeFn, b.askFn = b.rawRead, b.rawWrite, b.rawAsk
	return b
}

// below is a socket with TLS above it, which reads in one goroutine at a time and writes in one.
type below struct {
	*net.TCPConn
	raw syscall.RawConn

	readFn  func(uintptr) bool
	dst     []byte
	nowait  bool
	got     int
	rerr    syscall.Errno
	drained bool // TLS holds no record back

	writeFn func(uintptr) bool
	src     []byte
	werr    syscall.Errno

	askFn    func(uintptr) bool
	within   uintptr // the descriptor while ask writes
	tls      io.Writer
	question []byte
	asked    bool
	sent     int
	err      error // of the question's write
}

// Of a record (RFC 8446, 5.1).
const (
	recordHead      = 5        // bytes: type, version, length
	recordMost      = 16 << 10 // bytes of what it carries
	applicationData = 23
)

func (b *below) Read(p []byte) (int, error) {
	b.dst = p
	err := b.raw.Read(b.readFn)
	b.dst = nil
	switch {
	case err != nil:
		return 0, err
	case b.rerr == syscall.EAGAIN:
		b.drained = true
		return 0, b.rerr // is temporary: TLS keeps what it has of a record, and can be asked again
	case b.rerr != 0:
		return 0, b.failed("read", b.rerr)
	case b.got == 0:
		return 0, io.EOF
	}
	n := b.got
	b.drained = n > recordHead && p[0] == applicationData && n == recordHead+int(p[3])<<8+int(p[4])
	return n, nil
}

func (b *below) rawRead(fd uintptr) bool {
	b.got, b.rerr = receive(fd, b.dst)
	return b.rerr != syscall.EAGAIN || b.nowait
}

// further reads what tls, which is above b, can give without waiting, as long as a whole record fits into p. An error is told
// by the next read.
func (b *below) further(tls io.Reader, p []byte) (n int) {
	b.nowait = true
	for !b.drained && len(p)-n >= recordMost {
		m, err := tls.Read(p[n:])
		n += m
		if err != nil {
			break
		}
	}
	b.nowait = false
	return n
}

func (b *below) Write(p []byte) (int, error) {
	b.src, b.werr = p, 0
	var err error
	if b.within == 0 || !b.rawWrite(b.within) {
		err = b.raw.Write(b.writeFn)
	}
	n := len(p) - len(b.src)
	b.src = nil
	if err == nil && b.werr != 0 {
		err = b.failed("write", b.werr)
	}
	return n, err
}

func (b *below) rawWrite(fd uintptr) bool {
	b.src, b.werr = send(fd, b.src)
	return b.werr != syscall.EAGAIN
}

// ask has tls, which is above b, write p, and waits until something comes. That is the answer when TLS holds nothing back.
func (b *below) ask(tls io.Writer, p []byte) (sent int, err error) {
	b.tls, b.question, b.asked = tls, p, false
	err = b.raw.Read(b.askFn)
	b.question = nil
	if b.asked { // a wait that has failed is for the read to tell of
		return b.sent, b.err
	}
	return 0, err
}

// rawAsk is link.rawAsk for TLS: what has come is read later, as much of it as a record takes.
func (b *below) rawAsk(fd uintptr) bool {
	if b.asked {
		return true
	}
	b.asked, b.within = true, fd
	b.sent, b.err = b.tls.Write(b.question)
	b.within = 0
	return b.err != nil
}

// failed is an error as package net makes it.
func (b *below) failed(op string, e syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Source: b.LocalAddr(), Addr: b.RemoteAddr(), Err: os.NewSyscallError(op, e)}
}
