package shard

import "sync"

const bufferBytes = 16 << 10

type buffer [bufferBytes]byte

// buffers are leased while there are bytes to handle: an idle connection holds none.
type buffers struct{ pool sync.Pool }

func (p *buffers) get() *buffer {
	if b, ok := p.pool.Get().(*buffer); ok {
		return b
	}
	return new(buffer)
}

func (p *buffers) put(b *buffer) { p.pool.Put(b) }

// writer collects what goes to the app in a leased buffer.
type writer struct {
	*wire
	out *buffer
	n   int
}

func (o *writer) Write(p []byte) (int, error) {
	if o.n+len(p) > bufferBytes {
		if err := o.flush(); err != nil {
			return 0, err
		}
		if len(p) >= bufferBytes {
			return len(p), o.send(p)
		}
	}
	if o.out == nil {
		o.out = o.buffers.get()
	}
	o.n += copy(o.out[o.n:], p)
	return len(p), nil
}

// text is Write of a short string.
func (o *writer) text(s string) error {
	if o.n+len(s) > bufferBytes {
		if err := o.flush(); err != nil {
			return err
		}
	}
	if o.out == nil {
		o.out = o.buffers.get()
	}
	o.n += copy(o.out[o.n:], s)
	return nil
}

func (o *writer) flush() error {
	if o.out == nil {
		return nil
	}
	err := o.send(o.out[:o.n])
	o.buffers.put(o.out)
	o.out, o.n = nil, 0
	return err
}

// request collects what goes to a shard: in a leased buffer, or in one of its own when it is more.
type request struct {
	pad *buffer
	out []byte
}

func (q *request) open(pool *buffers) {
	if q.pad == nil {
		q.pad = pool.get()
	}
	q.out = q.pad[:0]
}

func (q *request) close(pool *buffers) {
	if q.pad != nil {
		pool.put(q.pad)
	}
	q.pad, q.out = nil, nil
}
