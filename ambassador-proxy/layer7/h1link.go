package layer7

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/peek"
)

// What link.until holds instead of a time once somebody has interrupted the link.
const (
	firedTimeout    = -1 // its time ran out
	firedClientGone = -2 // the client of the request that it serves has left
)

// link is one connection of either side with its lazily held buffer. One goroutine at a time reads and one writes; the
// janitor may interrupt both.
//
// Plain sockets are read and written by raw non-blocking system calls within syscall.RawConn: the runtime's poller does
// the waiting, but its scheduler is not told of calls that cannot block. TLS goes through its own Read and Write; see BelowTLS.
type link struct {
	nc   net.Conn
	raw  syscall.RawConn // nil with TLS
	tls  *below          // nil: none, or TLS on something else
	pool *buffers

	until atomic.Int64         // Unix nanoseconds at which the janitor interrupts; 0 never, negative: it has
	peer  atomic.Pointer[link] // of a client: the upstream link that its request is on
	// Of a client: since when its whole request waits for the upstream or, without a peer, since when it has been idle after
	// an answer; 0 neither.
	waiting atomic.Int64
	slot    int         // of a client: its place in the janitor's list
	virtual *streamConn // of a client that is a stream of HTTP/2; nil: it is a connection
	fired   atomic.Bool // it was interrupted once

	// The read side.
	buf    *buffer // nil while idle; buf.b[r:w] are the bytes not yet handled
	r, w   int
	readFn func(uintptr) bool
	dst    []byte // nil: take a buffer when there is something to read
	nowait bool
	large  bool // take big buffers
	got    int
	rerr   syscall.Errno

	// The write side.
	writeFn func(uintptr) bool
	within  uintptr // the descriptor while raw.Read is under way further up: it is held open, and its read side locked
	askFn   func(uintptr) bool
	asked   bool  // askFn has sent
	early   error // why the read of ask failed; fill tells
	src     []byte
	sent    int // bytes of the last write that the kernel took
	werr    syscall.Errno

	peeking sync.Mutex // the janitor looks while the connection's goroutine may
	peeker  peek.Peeker
}

var errWouldBlock = errors.New("nothing to read")

func newLink(c net.Conn) *link {
	l := &link{nc: c}
	switch s := c.(type) {
	case *net.TCPConn:
		l.raw, _ = s.SyscallConn()
	case *net.UnixConn:
		l.raw, _ = s.SyscallConn()
	case *tls.Conn:
		l.tls, _ = s.NetConn().(*below)
	}
	if l.raw != nil {
		l.readFn, l.writeFn, l.askFn = l.rawRead, l.rawWrite, l.rawAsk
	}
	l.peeker.Start(c)
	return l
}

// NewConn makes a pooled connection of a dialled one. Close it through the Conn or through c.
func NewConn(c net.Conn) *Conn { return &Conn{Conn: c, link: newLink(c)} }

// arm asks the janitor to interrupt the link at t, in Unix nanoseconds.
func (l *link) arm(t int64) {
	if l.until.Swap(t) < 0 {
		l.fired.Store(true)
	}
}

// disarm reports what interrupted the link: 0 if nothing did.
func (l *link) disarm() int64 {
	if u := l.until.Swap(0); u < 0 {
		l.fired.Store(true)
		return u
	}
	return 0
}

// interrupt makes reads and writes fail from now on.
func (l *link) interrupt(why, armed int64) {
	if l.until.CompareAndSwap(armed, why) {
		l.nc.SetDeadline(time.Unix(1, 0))
	}
}

// bytes are those read and not yet handled.
func (l *link) bytes() []byte {
	if l.buf == nil {
		return nil
	}
	return l.buf.b[l.r:l.w]
}

// release gives the buffer back, with what is in it.
func (l *link) release() {
	if l.buf != nil {
		l.pool.put(l.buf)
		l.buf = nil
	}
	l.r, l.w = 0, 0
}

// lease takes a buffer.
func (l *link) lease() {
	if l.large {
		l.buf = l.pool.getBig()
	} else {
		l.buf = l.pool.get()
	}
}

// skip marks n bytes as handled and gives the buffer back when none is left.
func (l *link) skip(n int) {
	if l.r += n; l.r == l.w {
		l.release()
	}
}

// fill waits for bytes, takes a buffer and reads into it. There must be no bytes left.
func (l *link) fill() error {
	l.release()
	if err := l.early; err != nil {
		l.early = nil
		return err
	}
	if l.raw == nil {
		l.lease()
		n, err := l.nc.Read(l.buf.b[room:])
		l.r, l.w = room, room+n
		if n > 0 {
			if l.tls != nil {
				l.w += l.tls.further(l.nc, l.buf.b[l.w:])
			}
			return nil
		}
		l.release()
		return err
	}
	l.dst = nil
	n, err := l.readRaw()
	if err == nil {
		l.r, l.w = room, room+n
	}
	return err
}

// fillNow is fill without waiting: errWouldBlock when there is nothing.
func (l *link) fillNow() error {
	if l.raw == nil {
		return errWouldBlock
	}
	l.nowait = true
	err := l.fill()
	l.nowait = false
	return err
}

// more reads further bytes behind those that are there, moving on to a big buffer when the usual one is full; false when
// that is full too.
func (l *link) more() (ok bool, err error) {
	if l.w == len(l.buf.b) {
		switch {
		case l.r > room:
			l.w = room + copy(l.buf.b[room:], l.buf.b[l.r:l.w])
			l.r = room
		case len(l.buf.b) == room+bufferBytes:
			big := l.pool.getBig()
			l.w = room + copy(big.b[room:], l.buf.b[l.r:l.w])
			l.r = room
			l.pool.put(l.buf)
			l.buf = big
		default:
			return false, nil
		}
	}
	n, err := l.read(l.buf.b[l.w:])
	l.w += n
	return true, err
}

// read waits for bytes and reads them into p.
func (l *link) read(p []byte) (int, error) {
	if l.raw == nil {
		return l.nc.Read(p)
	}
	l.dst = p
	n, err := l.readRaw()
	l.dst = nil
	return n, err
}

// ask is write, and then as much of fill as can be had with it: the bytes are there when it returns, or fill goes on. Its error
// is that of the write.
func (l *link) ask(p []byte) error {
	if l.tls != nil && l.tls.drained {
		l.release()
		var err error
		l.sent, err = l.tls.ask(l.nc, p)
		return err
	}
	if l.raw == nil {
		return l.write(p)
	}
	l.release()
	l.sent, l.src, l.werr, l.dst, l.asked, l.got, l.rerr = 0, p, 0, nil, false, 0, 0
	err := l.raw.Read(l.askFn)
	left := l.src
	l.src = nil
	switch {
	case l.werr != 0:
		return l.werr
	case !l.asked:
		return err
	case len(left) > 0:
		sent := l.sent
		err = l.write(left)
		l.sent += sent
		return err
	case err != nil:
		l.early = err
		return nil
	}
	n, err := l.result()
	if l.early = err; err == nil {
		l.r, l.w = room, room+n
	}
	return nil
}

func (l *link) readRaw() (int, error) {
	if err := l.raw.Read(l.readFn); err != nil {
		return 0, err
	}
	return l.result()
}

// result is what rawRead has left.
func (l *link) result() (int, error) {
	switch {
	case l.rerr == syscall.EAGAIN:
		return 0, errWouldBlock
	case l.rerr != 0:
		l.release()
		return 0, l.rerr
	case l.got == 0:
		if l.dst == nil {
			l.release()
		}
		return 0, io.EOF
	}
	return l.got, nil
}

// write sends all of p. l.sent tells afterwards how much the kernel took.
func (l *link) write(p []byte) error {
	l.sent = 0
	if l.raw == nil {
		n, err := l.nc.Write(p)
		l.sent = n
		return err
	}
	l.src, l.werr = p, 0
	var err error
	if l.within == 0 || !l.rawWrite(l.within) {
		err = l.raw.Write(l.writeFn)
	}
	l.src = nil
	if err != nil {
		return err
	}
	if l.werr != 0 {
		return l.werr
	}
	return nil
}

// dead reports whether the other side has closed, without waiting. Bytes that wait on a link that should be idle are an
// answer that nobody asked for, or a TLS alert: such a link is dead too.
func (l *link) dead(idle bool) bool {
	if l.virtual != nil {
		return l.virtual.gone()
	}
	l.peeking.Lock()
	defer l.peeking.Unlock()
	gone, extra := l.peeker.Look()
	return gone || idle && extra
}

// closeWrite sends the end of the stream.
func (l *link) closeWrite() {
	if c, ok := l.nc.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
}

// resets makes the close that follows a reset, so that the other side cannot take what it got for the whole. The close itself
// would wait for a Read further up.
func (l *link) resets() {
	if c, ok := l.nc.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
}
