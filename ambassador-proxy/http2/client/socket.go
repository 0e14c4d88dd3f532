package client

import (
	"io"
	"net"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/peek"
)

const readBytes = 32 << 10 // at least a frame

var readBuffers = sync.Pool{New: func() any { return new([readBytes]byte) }}

// reading is what was read and not yet handled. The buffer of a plain socket is taken when there is something to read: most
// connections wait most of the time.
type reading struct {
	from   io.Reader
	raw    syscall.RawConn // nil: from is not a plain socket
	readFn func(uintptr) bool
	peeker peek.Peeker
	got    int
	errno  syscall.Errno

	buf  *[readBytes]byte
	r, w int

	handling bool            // the reader holds the lock
	woken    []chan struct{} // to be signalled when it gives it back
	begun    bool            // the first frame has come, and was SETTINGS
	parser   http2.Parser
	decoder  *http2.Decoder
	fields   []hpack.HeaderField // of the latest head
}

func (r *reading) start(nc net.Conn) {
	r.from = nc
	switch s := nc.(type) {
	case *net.TCPConn:
		r.raw, _ = s.SyscallConn()
	case *net.UnixConn:
		r.raw, _ = s.SyscallConn()
	}
	r.peeker.Start(nc)
	r.readFn = r.readNow
	r.decoder = http2.NewDecoder()
}

// fill reads more, behind what is there.
func (r *reading) fill() error {
	if r.r == r.w {
		r.r, r.w = 0, 0
		if r.raw != nil {
			r.release()
		}
	}
	if r.r > 0 && readBytes-r.r < http2.HeaderBytes+http2.MinFrameBytes {
		r.w = copy(r.buf[:], r.buf[r.r:r.w])
		r.r = 0
	}
	if r.raw == nil {
		r.lease()
		n, err := r.from.Read(r.buf[r.w:])
		r.w += n
		if n > 0 {
			return nil
		}
		return err
	}
	r.got, r.errno = 0, 0
	if err := r.raw.Read(r.readFn); err != nil {
		return err
	}
	switch {
	case r.errno != 0:
		return r.errno
	case r.got == 0:
		return io.EOF
	}
	r.w += r.got
	return nil
}

func (r *reading) lease() {
	if r.buf == nil {
		r.buf = readBuffers.Get().(*[readBytes]byte)
	}
}

func (r *reading) release() {
	if r.buf != nil {
		readBuffers.Put(r.buf)
		r.buf = nil
	}
}

// readNow runs inside RawConn.Read: the descriptor is open and non-blocking, so that a raw call returns at once.
func (r *reading) readNow(fd uintptr) bool {
	empty := r.r == r.w
	r.lease()
	p := r.buf[r.w:]
	for {
		n, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		switch e {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			if empty {
				r.release()
			}
			return false
		case 0:
			r.got = int(n)
		default:
			r.errno = e
		}
		return true
	}
}

// read handles what comes until the connection ends.
func (c *Conn) read() {
	defer close(c.done)
	var err error
	for err == nil {
		if err = c.fill(); err == nil {
			err = c.handle()
		}
	}
	c.reading.release()
	c.mu.Lock()
	c.end(err)
	c.mu.Unlock()
}
