//go:build !race

// The race detector takes an answer for what puts things in order only where it sees the read.

package output

import (
	"io"
	"os"
	"syscall"
	"unsafe"
)

// Read is by system calls that the runtime is not told of, as send: it would wake its monitor thread for each answer.
func (c wholeBodyConn) Read(p []byte) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	waited := raw.Read(func(fd uintptr) bool {
		for {
			m, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
			switch errno {
			case 0:
				n = int(m)
			case syscall.EINTR:
				continue
			case syscall.EAGAIN:
				return false
			default:
				err = os.NewSyscallError("read", errno)
			}
			return true
		}
	})
	switch {
	case waited != nil: // as it is: it says whether it was a timeout
		return n, waited
	case err == nil && n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, err
}
