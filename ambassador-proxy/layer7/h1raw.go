package layer7

import (
	"syscall"
	"unsafe"
)

// The functions of this file run inside syscall.RawConn's Read, Write and Control: the descriptor is open and
// non-blocking, so a raw call returns at once.

// receive reads what there is.
func receive(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		// recvfrom does without what read does for files first.
		n, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		if e != syscall.EINTR {
			return int(n), e
		}
	}
}

// send writes p, and returns what is left of it: with EAGAIN when the socket's buffer is full.
func send(fd uintptr, p []byte) ([]byte, syscall.Errno) {
	for len(p) > 0 {
		n, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			syscall.MSG_NOSIGNAL, 0, 0)
		switch e {
		case 0:
			p = p[n:]
		case syscall.EINTR:
		default:
			return p, e
		}
	}
	return nil, 0
}

// rawRead reads into dst, or into a buffer that it takes for it and gives back when there is nothing to read.
func (l *link) rawRead(fd uintptr) bool {
	p := l.dst
	if p == nil {
		if l.buf == nil {
			l.lease()
		}
		p = l.buf.b[room:]
	}
	if l.got, l.rerr = receive(fd, p); l.rerr != syscall.EAGAIN {
		return true
	}
	if l.dst == nil {
		l.release()
	}
	return l.nowait
}

// rawWrite sends src, and asks to be called again when the socket's buffer is full.
func (l *link) rawWrite(fd uintptr) bool {
	left, e := send(fd, l.src)
	l.sent += len(l.src) - len(left)
	if l.src = left; e == syscall.EAGAIN {
		return false
	}
	l.werr = e
	return true
}

// rawAsk sends src when it is called first, and reads when it is called again. The poller has forgotten earlier events by
// then, and the answer comes after what was sent: waiting for it needs no read that finds nothing.
func (l *link) rawAsk(fd uintptr) bool {
	if l.asked {
		return l.rawRead(fd)
	}
	l.asked = true
	return !l.rawWrite(fd) || l.werr != 0 // when the socket takes no more now, the caller writes the rest
}
