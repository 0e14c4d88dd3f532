package layer7

import "sync"

const (
	bufferBytes = 32 << 10  // a usual buffer, read in one call
	bigBytes    = 128 << 10 // for heads that need it, and for long bodies
	room        = 1 << 10   // in front of what is read, so that a rewritten head fits before the body: one write
)

// buffer is leased while there are bytes to handle, and only then: the same few stay hot in the cache.
type buffer struct{ b []byte }

// buffers are the two pools of an engine.
type buffers struct {
	small, big sync.Pool
}

func newBuffers() *buffers {
	return &buffers{
		small: sync.Pool{New: func() any { return &buffer{make([]byte, room+bufferBytes)} }},
		big:   sync.Pool{New: func() any { return &buffer{make([]byte, room+bigBytes)} }},
	}
}

func (p *buffers) get() *buffer    { return p.small.Get().(*buffer) }
func (p *buffers) getBig() *buffer { return p.big.Get().(*buffer) }

func (p *buffers) put(b *buffer) {
	if len(b.b) > room+bufferBytes {
		p.big.Put(b)
		return
	}
	p.small.Put(b)
}
