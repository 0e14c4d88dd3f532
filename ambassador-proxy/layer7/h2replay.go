package layer7

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// replay is a request body whose beginning is kept, so that it can be sent again. The Transport may still be in a read of a
// try that has failed while the next one reads: what that read brings is kept for both.
type replay struct {
	body  io.ReadCloser
	keep  int
	moved func() // told of each read; may be nil

	source sync.Mutex // one read of the client at a time
	mu     sync.Mutex // of what follows
	have   []byte
	total  int64
	over   bool // more was read than is kept
	err    error
}

func newReplay(body io.ReadCloser, keep int) *replay { return &replay{body: body, keep: keep} }

// replayable tells whether all that was read is kept.
func (b *replay) replayable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.over
}

// bytes that the client has sent of it.
func (b *replay) bytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

// fault is what ended the client's side too early; nil when it did not.
func (b *replay) fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == io.EOF {
		return nil
	}
	return b.err
}

// reader is the body of one try, whose timer is told of what is read; that may be nil.
func (b *replay) reader(w *waiting) io.ReadCloser { return &replayReader{b: b, wait: w} }

// replayReader reads the kept beginning first and the rest from the client.
type replayReader struct {
	b      *replay
	wait   *waiting
	at     int64
	closed atomic.Bool
}

var errNotKept = errors.New("the beginning of the request body is not kept")

func (r *replayReader) Read(p []byte) (int, error) {
	if n, err, ok := r.kept(p); ok {
		return n, err
	}
	b := r.b
	b.source.Lock()
	defer b.source.Unlock()
	if n, err, ok := r.kept(p); ok { // another try was quicker
		return n, err
	}
	n, err := r.client(p)
	b.took(p[:n], err)
	r.at += int64(n)
	return n, err
}

func (r *replayReader) client(p []byte) (int, error) {
	if r.wait == nil {
		return r.b.body.Read(p)
	}
	r.wait.takes()
	n, err := r.b.body.Read(p)
	r.wait.took(err != nil)
	return n, err
}

// kept answers a read without the client; false when the client must be read.
func (r *replayReader) kept(p []byte) (int, error, bool) {
	b := r.b
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r.closed.Load():
		return 0, io.ErrClosedPipe, true
	case r.at < b.total && b.over:
		return 0, errNotKept, true
	case r.at < b.total:
		n := copy(p, b.have[r.at:])
		r.at += int64(n)
		return n, nil, true
	case b.err != nil:
		if r.wait != nil {
			r.wait.took(true)
		}
		return 0, b.err, true
	}
	return 0, nil, false
}

func (b *replay) took(p []byte, err error) {
	if b.moved != nil {
		b.moved()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total, b.err = b.total+int64(len(p)), err
	if b.over {
		return
	}
	if len(b.have)+len(p) > b.keep {
		b.over, b.have = true, nil
		return
	}
	b.have = append(b.have, p...)
}

func (r *replayReader) Close() error {
	r.closed.Store(true)
	return nil
}
