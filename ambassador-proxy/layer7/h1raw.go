package layer7

import (
	"syscall"
	"unsafe"
)

// The functions of this file run inside syscall.RawConn's Read, Write and Control: the descriptor is open and
// non-blocking, so a raw call returns at once.

// rawRead reads into dst, or into a buffer that it takes for it and gives back when there is nothing to read.
func (l *link) rawRead(fd uintptr) bool {
	p := l.dst
	if p == nil {
		if l.buf == nil {
			l.lease()
		}
		p = l.buf.b[room:]
	}
	var n uintptr
	for {
		// recvfrom does without what read does for files first.
		n, _, l.rerr = syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		if l.rerr != syscall.EINTR {
			break
		}
	}
	l.got = int(n)
	if l.rerr != syscall.EAGAIN {
		return true
	}
	if l.dst == nil {
		l.release()
	}
	return l.nowait
}

// rawWrite sends src, and asks to be called again when the socket's buffer is full.
func (l *link) rawWrite(fd uintptr) bool {
	for len(l.src) > 0 {
		n, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(l.src))),
			uintptr(len(l.src)), syscall.MSG_NOSIGNAL, 0, 0)
		switch e {
		case 0:
			l.src = l.src[n:]
			l.sent += int(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			l.werr = e
			return true
		}
	}
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
