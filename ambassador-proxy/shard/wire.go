package shard

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wire is a connection of either side with what was read from it and not yet handled. Plain sockets are read and written by
// raw non-blocking system calls within syscall.RawConn, as layer7's links are: the poller does the waiting, and the scheduler
// is not told of calls that cannot block. TLS goes through its own Read and Write.
type wire struct {
	conn    net.Conn
	raw     syscall.RawConn // nil with TLS
	buffers *buffers

	leased   *buffer // nil while nothing is unread, or when b has outgrown it
	b        []byte
	from, to int // b[from:to] is unread

	readFn, askFn, pushFn func(uintptr) bool
	hungUpFn              func(uintptr)
	gone                  bool
	got                   int
	rerr, werr            syscall.Errno
	src                   []byte
	asked, patient        bool

	timeout time.Duration // of a wait for bytes; 0: none
	until   time.Time     // of the deadline that is set

	rest   sync.WaitGroup // what the socket did not take at once
	broken atomic.Bool
}

func (w *wire) init(c net.Conn, pool *buffers, timeout time.Duration) {
	w.conn, w.buffers, w.timeout = c, pool, timeout
	switch s := c.(type) {
	case *net.TCPConn:
		w.raw, _ = s.SyscallConn()
	case *net.UnixConn:
		w.raw, _ = s.SyscallConn()
	}
	w.readFn, w.askFn, w.pushFn, w.hungUpFn = w.rawRead, w.rawAsk, w.rawPush, w.hungUp
}

func (w *wire) unread() []byte { return w.b[w.from:w.to] }

// skip marks n bytes as handled, and gives the buffer back with the last of them.
func (w *wire) skip(n int) {
	if w.from += n; w.from == w.to {
		w.release()
	}
}

func (w *wire) release() {
	if w.leased != nil {
		w.buffers.put(w.leased)
	}
	w.leased, w.b, w.from, w.to = nil, nil, 0, 0
}

func (w *wire) lease() {
	w.leased = w.buffers.get()
	w.b = w.leased[:]
}

// full tells whether there is no room for further bytes.
func (w *wire) full() bool { return w.b != nil && w.to-w.from == len(w.b) }

// grow makes room for n bytes more than there are.
func (w *wire) grow(n int) {
	big := make([]byte, len(w.b)+max(n, len(w.b)))
	n = copy(big, w.unread())
	w.release()
	w.b, w.to = big, n
}

// settle moves unread bytes that need no grown buffer any more into an ordinary one.
func (w *wire) settle() {
	if w.leased != nil || w.to-w.from > bufferBytes/2 || w.b == nil {
		return
	}
	old := w.unread()
	w.lease()
	w.from, w.to = 0, copy(w.b, old)
}

var errFull = errors.New("a line of the answer is too long") // a value, never written

// fill waits for bytes and adds them to those that are unread.
func (w *wire) fill() error {
	if w.from > 0 && w.to == len(w.b) {
		w.to = copy(w.b, w.unread())
		w.from = 0
	}
	if w.full() {
		return errFull
	}
	w.arm()
	return w.read()
}

// fillWithin is fill on a plain socket that waits no longer than d.
func (w *wire) fillWithin(d time.Duration) error {
	w.until = time.Time{} // the next wait sets its own
	_ = w.conn.SetReadDeadline(time.Now().Add(d))
	return w.read()
}

func (w *wire) read() error {
	if w.raw == nil {
		if w.b == nil {
			w.lease()
		}
		n, err := w.conn.Read(w.b[w.to:])
		w.to += n
		switch {
		case n > 0:
			return nil
		case err == nil:
			return io.ErrNoProgress
		}
		return err
	}
	if err := w.raw.Read(w.readFn); err != nil {
		return err
	}
	return w.result()
}

// arm moves the deadline only when little of it is left: the wait ends after timeout, or up to a quarter later.
func (w *wire) arm() {
	if w.timeout == 0 {
		return
	}
	if now := time.Now(); w.until.Sub(now) < w.timeout {
		w.until = now.Add(w.timeout + w.timeout/4)
		_ = w.conn.SetReadDeadline(w.until)
	}
}

func (w *wire) result() error {
	switch {
	case w.rerr != 0:
		return os.NewSyscallError("recvfrom", w.rerr)
	case w.got == 0:
		return io.EOF
	}
	w.to += w.got
	return nil
}

// push sends p without waiting; what the socket does not take now is sent in the background, until wait. p must not change
// before that.
func (w *wire) push(p []byte) {
	if w.raw == nil && len(p) <= bufferBytes { // nothing is under way on this connection: so much has room
		_ = w.conn.SetWriteDeadline(time.Now().Add(w.timeout))
		if _, err := w.conn.Write(p); err != nil {
			w.broken.Store(true)
		}
		return
	}
	if w.raw != nil {
		w.src, w.werr = p, 0
		if w.raw.Write(w.pushFn) != nil || w.werr != 0 {
			w.broken.Store(true)
			return
		}
		p = w.src
	}
	w.later(p)
}

func (w *wire) later(p []byte) {
	if len(p) == 0 {
		return
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(w.timeout))
	w.rest.Go(func() {
		if _, err := w.conn.Write(p); err != nil {
			w.broken.Store(true)
			w.conn.Close()
		}
		_ = w.conn.SetWriteDeadline(time.Time{})
	})
}

// wait returns when all that was pushed is sent.
func (w *wire) wait() { w.rest.Wait() }

// ask is push and then fill on a connection on which nothing is under way. No read is tried in vain: the poller has forgotten
// earlier events by the time that p is sent, and the answer comes after it.
func (w *wire) ask(p []byte) error {
	if w.raw == nil {
		w.push(p)
		return w.fill() // a write that failed has its reason here
	}
	w.arm()
	w.src, w.werr, w.rerr, w.got, w.asked, w.patient = p, 0, 0, 0, false, false
	err := w.raw.Read(w.askFn)
	switch {
	case w.werr != 0:
		w.broken.Store(true)
		return os.NewSyscallError("sendto", w.werr)
	case len(w.src) > 0 && err == nil:
		w.later(w.src)
		return w.fill()
	case err != nil:
		return err
	}
	return w.result()
}

// send writes all of p.
func (w *wire) send(p []byte) error {
	if w.raw == nil {
		_, err := w.conn.Write(p)
		return err
	}
	w.src, w.werr, w.patient = p, 0, true
	err := w.raw.Write(w.pushFn)
	w.patient = false
	if err == nil && w.werr != 0 {
		err = os.NewSyscallError("sendto", w.werr)
	}
	return err
}

// The functions below run inside RawConn's Read, Write and Control: the descriptor is open and non-blocking.

func (w *wire) rawRead(fd uintptr) bool {
	mine := w.b == nil
	if mine {
		w.lease()
	}
	p := w.b[w.to:]
	for {
		var n uintptr
		n, _, w.rerr = syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		if w.got = int(n); w.rerr != syscall.EINTR {
			break
		}
	}
	if w.rerr != 0 || w.got == 0 {
		w.got = 0
		if mine {
			w.release()
		}
	}
	return w.rerr != syscall.EAGAIN
}

// rawPush sends src; what remains of it stays there. It waits only when it is to be patient.
func (w *wire) rawPush(fd uintptr) bool {
	for len(w.src) > 0 {
		n, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(w.src))), uintptr(len(w.src)), syscall.MSG_NOSIGNAL, 0, 0)
		switch e {
		case 0:
			w.src = w.src[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			return !w.patient
		default:
			w.werr = e
			return true
		}
	}
	return true
}

func (w *wire) rawAsk(fd uintptr) bool {
	if w.asked {
		return w.rawRead(fd)
	}
	w.asked = true
	w.rawPush(fd)
	return len(w.src) > 0 || w.werr != 0
}

// closed tells whether the other side has ended the connection, without reading.
func (w *wire) closed() bool {
	raw := w.raw
	if t, ok := w.conn.(*tls.Conn); ok {
		if s, ok := t.NetConn().(syscall.Conn); ok {
			raw, _ = s.SyscallConn()
		}
	}
	if raw == nil {
		return false
	}
	w.gone = true
	_ = raw.Control(w.hungUpFn)
	return w.gone
}

// hungUp looks past what TLS may have sent for itself: session tickets. The scheduler is told of this call, and should be: a
// peek that it does not see costs as much, and with fifty clients on one processor made a third of the requests a second.
func (w *wire) hungUp(fd uintptr) {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	_, err := unix.Poll(p, 0)
	w.gone = err == nil && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}
