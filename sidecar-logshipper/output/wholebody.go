package output

import (
	"io"
	"net"
	"os"
	"sync"
)

// net/http copies a request body in pieces of 32 KiB, one write(2) each. Where the body is a *wholeBody and the connection
// a wholeBodyConn, what is left of it after the headers goes out in a single write; TLS connections take the usual way.

// wholeBodyConn is a plain TCP connection that knows our body type.
type wholeBodyConn struct{ net.Conn }

// ReadFrom is what net/http ends up calling for a request body: on a limited reader around the body.
func (c wholeBodyConn) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		if b, ok := limited.R.(*wholeBody); ok {
			n, err := b.WriteTo(c.Conn)
			limited.N -= n
			return n, err
		}
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
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
