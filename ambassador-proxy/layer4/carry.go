package layer4

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// Join copies both directions until both have ended. why is OK, or what broke the connection off.
func Join(client, server net.Conn, timeout time.Duration) (in, out int64, why reason.Reason) {
	var first atomic.Uint32
	blame := func(r reason.Reason) { first.CompareAndSwap(uint32(reason.OK), uint32(r)) }
	var idle *idleTimer
	if timeout > 0 {
		idle = newIdleTimer(timeout, func() {
			blame(reason.UpstreamTimeoutIdle)
			client.Close()
			server.Close()
		})
		defer idle.stop()
	}
	var up sync.WaitGroup
	up.Go(func() {
		in = carry(server, client, idle, func(err error) { blame(culprit(err, reason.ClientAborted, reason.UpstreamReset)) })
	})
	out = carry(client, server, idle, func(err error) { blame(culprit(err, reason.UpstreamReset, reason.ClientAborted)) })
	up.Wait()
	return in, out, reason.Reason(first.Load())
}

// writeError is an error of the side that bytes go to.
type writeError struct{ error }

// Unwrap is for errors.Is.
func (e writeError) Unwrap() error { return e.error }

// culprit is whose fault the end of a direction is. The kernel does not say which side an error of splice is of: EPIPE is of a
// write, and the rest mostly of a read.
func culprit(err error, from, to reason.Reason) reason.Reason {
	if errors.Is(err, net.ErrClosed) { // here, by whoever has been blamed, or at the end of the proxy
		return reason.Stopped
	}
	if _, written := errors.AsType[writeError](err); written || errors.Is(err, syscall.EPIPE) {
		return to
	}
	return from
}

// carry copies one direction and passes its end on.
func carry(to, from net.Conn, idle *idleTimer, broke func(error)) int64 {
	n, err := move(to, from, idle)
	if err != nil { // a reset, or the other side is gone: the peer must not take it for a clean end
		broke(err)
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
				return n, writeError{err}
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
