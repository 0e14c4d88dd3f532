package client

import (
	"sync"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

func (c *Conn) giveBack(n int) {
	if more := c.incoming.Give(n); more > 0 {
		c.out = http2.AppendWindowUpdate(c.out, 0, more)
		c.flushSoon()
	}
}

func (s *Stream) giveBack(n int) {
	if s.ended || s.err != nil {
		return
	}
	if more := s.incoming.Give(n); more > 0 {
		s.conn.out = http2.AppendWindowUpdate(s.conn.out, s.id, more)
		s.conn.flushSoon()
	}
}

const (
	smallChunk = 2 << 10
	largeChunk = 16 << 10
)

var (
	smallChunks = sync.Pool{New: func() any { return &chunk{b: make([]byte, smallChunk)} }}
	largeChunks = sync.Pool{New: func() any { return &chunk{b: make([]byte, largeChunk)} }}
)

type chunk struct {
	b    []byte
	r, w int
}

func (k *chunk) release() {
	k.r, k.w = 0, 0
	if len(k.b) == smallChunk {
		smallChunks.Put(k)
	} else {
		largeChunks.Put(k)
	}
}

// chunks are a body as it waits: what has been looked at stays where it is until it is skipped.
type chunks struct {
	all  []*chunk
	head int
}

func (q *chunks) add(p []byte) {
	if n := len(q.all); n > q.head {
		last := q.all[n-1]
		k := copy(last.b[last.w:], p)
		last.w += k
		p = p[k:]
	}
	for len(p) > 0 {
		pool := &smallChunks
		if len(p) > smallChunk {
			pool = &largeChunks
		}
		k := pool.Get().(*chunk)
		k.w = copy(k.b, p)
		p = p[k.w:]
		q.all = append(q.all, k)
	}
}

// first is the piece that has waited longest; nil: nothing waits.
func (q *chunks) first() []byte {
	if q.head == len(q.all) {
		return nil
	}
	k := q.all[q.head]
	return k.b[k.r:k.w]
}

func (q *chunks) skip(n int) {
	for n > 0 {
		k := q.all[q.head]
		m := min(n, k.w-k.r)
		k.r += m
		n -= m
		if k.r < k.w {
			return
		}
		k.release()
		q.all[q.head] = nil
		q.head++
	}
	if q.head == len(q.all) {
		q.all, q.head = q.all[:0], 0
	}
}

// reset forgets what waits.
func (q *chunks) reset() {
	for i := q.head; i < len(q.all); i++ {
		q.all[i].release()
		q.all[i] = nil
	}
	q.all, q.head = q.all[:0], 0
}
