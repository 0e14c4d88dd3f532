package output

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// net/http copies a request body in pieces of 32 KiB, one write(2) each. Where the body is a *wholeBody and the connection
// a wholeBodyConn, what is left of it after the headers goes out in a single write; TLS connections take the usual way.

// wholeBodyConn is a plain TCP connection that knows our body type.
type wholeBodyConn struct{ *net.TCPConn }

// ReadFrom is what net/http ends up calling for a request body: on a limited reader around the body.
func (c wholeBodyConn) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		if b, ok := limited.R.(*wholeBody); ok {
			n, err := b.WriteTo(writer(func(p []byte) (int, error) { return c.send(p, 0) }))
			limited.N -= n
			return n, err
		}
	}
	return io.Copy(struct{ io.Writer }{c.TCPConn}, r)
}

// Write holds the head of a request back in the kernel until its body follows, which net/http writes next: the receiver is
// woken once rather than twice. Without a body it leaves after 200 ms (tcp(7), TCP_CORK). TLS records look different.
func (c wholeBodyConn) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("POST ")) && bytes.HasSuffix(p, []byte("\r\n\r\n")) {
		return c.send(p, syscall.MSG_MORE)
	}
	return c.TCPConn.Write(p)
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// send writes by system calls that the runtime is not told of: they never block, but with a whole body take long enough that
// it would hand the processor to another thread.
func (c wholeBodyConn) send(p []byte, flags uintptr) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	waited := raw.Write(func(fd uintptr) bool {
		for n < len(p) {
			rest := p[n:]
			m, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(rest))), uintptr(len(rest)), flags|syscall.MSG_NOSIGNAL, 0, 0)
			switch errno {
			case 0:
				n += int(m)
			case syscall.EINTR:
			case syscall.EAGAIN:
				return false
			default:
				err = os.NewSyscallError("write", errno)
				return true
			}
		}
		return true
	})
	return n, errors.Join(err, waited)
}

// wholeBodies hands out readers over the same bytes, one for each time that net/http sends the request (it does so again
// when an idle connection turns out to be dead), and waits until none is used any more: then the bytes may be reused.
type wholeBodies struct {
	data []byte
	wg   sync.WaitGroup
}

func (w *wholeBodies) next() *wholeBody {
	w.wg.Add(1)
	return &wholeBody{rest: w.data, done: w.wg.Done}
}

// wait returns when each reader has been closed, as net/http promises to do, and has ended its write.
func (w *wholeBodies) wait() { w.wg.Wait() }

// wholeBody reads bytes once. Close waits for a write in progress, which the end of the request's context ends.
type wholeBody struct {
	mu   sync.Mutex
	rest []byte
	done func()
}

func (b *wholeBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done == nil {
		return 0, os.ErrClosed
	}
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *wholeBody) WriteTo(w io.Writer) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done == nil {
		return 0, os.ErrClosed
	}
	n, err := w.Write(b.rest)
	b.rest = b.rest[n:]
	return int64(n), err
}

func (b *wholeBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done != nil {
		b.done()
		b.done = nil
	}
	return nil
}
