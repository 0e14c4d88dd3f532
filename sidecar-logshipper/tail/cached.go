package tail

import (
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readAt is ReadAt. What is in the page cache it reads by system calls that the runtime is not told of: they never wait, and
// the runtime would wake its monitor thread for them and hand the processor to another thread. The rest, and all of it where
// the file system or the sandbox does not know RWF_NOWAIT, is read in the usual way. A read that comes to size, the end of the
// file as it was seen last, is not followed by one that only finds it.
func readAt(src io.ReaderAt, buf []byte, at, size int64) (n int, err error) {
	f, ok := src.(*os.File)
	if !ok {
		return src.ReadAt(buf, at)
	}
	for n < len(buf) {
		m, known := readCached(f, buf[n:], at+int64(n))
		if !known {
			m, err = f.ReadAt(buf[n:], at+int64(n))
			return n + m, err
		}
		n += m
		if m == 0 || n < len(buf) && at+int64(n) >= size {
			return n, io.EOF
		}
	}
	return n, nil
}

// readCached reads once, 0 bytes at the end of the file, or says that the cache does not know.
func readCached(f *os.File, buf []byte, at int64) (n int, known bool) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	_ = raw.Control(func(fd uintptr) { // a closed file is told by ReadAt
		into := unix.Iovec{Base: unsafe.SliceData(buf)}
		into.SetLen(len(buf))
		low, high := uintptr(at), uintptr(uint64(at)>>32) // the kernel joins them, and ignores high where low holds all of it
		m, _, errno := unix.RawSyscall6(unix.SYS_PREADV2, fd, uintptr(unsafe.Pointer(&into)), 1, low, high, unix.RWF_NOWAIT)
		n, known = int(m), errno == 0
	})
	return n, known
}
