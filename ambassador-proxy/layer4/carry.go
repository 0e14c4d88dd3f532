package layer4

import (
	"io"
	"net"
	"sync"
	"time"
)

// join copies both directions until both have ended.
func (p *Proxy) join(client, server net.Conn) (in, out int64) {
	var idle *idleTimer
	if p.idle > 0 {
		idle = newIdleTimer(p.idle, func() { client.Close(); server.Close() })
		defer idle.stop()
	}
	var up sync.WaitGroup
	up.Go(func() { in = carry(server, client, idle) })
	out = carry(client, server, idle)
	up.Wait()
	return in, out
}

// carry copies one direction and passes its end on.
func carry(to, from net.Conn, idle *idleTimer) int64 {
	n, err := move(to, from, idle)
	if err != nil { // a reset, or the other side is gone: the peer must not take it for a clean end
		abort(to)
		from.Close()
		return n
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	} else {
		to.Close()
	}
	return n
}

const (
	fullReads   = 4       // in a row that make a stream of it
	spliceBytes = 4 << 20 // that a stream is trusted to go on for
)

// move copies until the end. A message is cheaper to carry through a buffer than through the kernel's pipe, a stream the
// other way round: when reads fill the buffer again and again, and both sides are bare TCP, the kernel takes over for a
// while; one more full read, and it does so again. With an idle timer every read must be seen.
func move(to, from net.Conn, idle *idleTimer) (n int64, err error) {
	in, okIn := from.(*net.TCPConn)
	out, okOut := to.(*net.TCPConn)
	splices := okIn && okOut && idle == nil
	r := newReader(from)
	for full := 0; ; {
		if splices && full >= fullReads {
			part := io.LimitedReader{R: in, N: spliceBytes}
			k, err := out.ReadFrom(&part)
			n += k
			if err != nil || part.N > 0 {
				return n, err
			}
			full = fullReads - 1
		}
		p, err := r.next()
		if idle != nil {
			idle.touch()
		}
		if full++; len(p) < bufferBytes {
			full = 0
		}
		if len(p) > 0 {
			if _, err := to.Write(p); err != nil {
				r.done()
				return n, err
			}
			n += int64(len(p))
		}
		r.done()
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

type idleTimer struct {
	d time.Duration
	t *time.Timer
}

func newIdleTimer(d time.Duration, expired func()) *idleTimer {
	return &idleTimer{d, time.AfterFunc(d, expired)}
}
func (t *idleTimer) touch() { t.t.Reset(t.d) }
func (t *idleTimer) stop()  { t.t.Stop() }
