package shard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const replyBuffer = 16 << 10

// backend is one client's connection to one shard. The session writes requests, the relay reads answers; requests and
// answers are in the same order.
type backend struct {
	shard *Shard
	conn  net.Conn
	out   []byte // requests of the batch, the session's
	last  time.Time
	open  atomic.Int64 // requests without their answer

	broken  atomic.Bool
	buf     []byte // the relay's
	from    int    // buf[from:] is unread
	timeout time.Duration
}

func newBackend(s *Shard, c net.Conn, timeout time.Duration) *backend {
	return &backend{shard: s, conn: c, buf: make([]byte, 0, replyBuffer), timeout: timeout, last: time.Now()}
}

// fail closes the connection; what is still to be answered on it gets an error.
func (b *backend) fail() {
	b.broken.Store(true)
	b.conn.Close()
}

const freshFor = 10 * time.Millisecond

// stale tells whether the server has closed the idle connection, so that a request never finds out the hard way.
func (b *backend) stale(now time.Time) bool {
	if b.open.Load() > 0 || now.Sub(b.last) < freshFor {
		return false
	}
	c := b.conn
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return true
	}
	gone := true
	_ = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		_, err := unix.Poll(p, 0)
		gone = err == nil && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone
}

// fill reads more of the answer into buf.
func (b *backend) fill() error {
	if b.from > 0 {
		b.buf = b.buf[:copy(b.buf, b.buf[b.from:])]
		b.from = 0
	}
	if len(b.buf) == cap(b.buf) {
		return errors.New("a line of the answer is too long")
	}
	_ = b.conn.SetReadDeadline(time.Now().Add(b.timeout))
	n, err := b.conn.Read(b.buf[len(b.buf):cap(b.buf)])
	b.buf = b.buf[:len(b.buf)+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (b *backend) unread() []byte { return b.buf[b.from:] }

// peek waits for the first byte of an answer.
func (b *backend) peek() (byte, error) {
	for len(b.unread()) == 0 {
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	return b.unread()[0], nil
}

// line reads up to LF, which is included; CR LF must end it.
func (b *backend) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(b.unread(), '\n'); i >= 0 {
			l := b.unread()[:i+1]
			b.from += i + 1
			if i < 1 || l[i-1] != '\r' {
				return nil, errors.New("a line of the answer does not end with CR LF")
			}
			return l, nil
		}
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
}

// reply relays one reply of the Redis protocol to w as it comes; w nil drops it. begun tells whether bytes were passed on.
func (b *backend) reply(w io.Writer) (begun bool, err error) {
	var r Reply
	for {
		n, done, err := r.Scan(b.unread())
		if err != nil {
			return begun, fmt.Errorf("malformed answer: %w", err)
		}
		if n > 0 && w != nil {
			begun = true
			if _, err := w.Write(b.unread()[:n]); err != nil {
				return begun, &clientError{err}
			}
		}
		b.from += n
		if done {
			return begun, nil
		}
		if err := b.fill(); err != nil {
			return begun, err
		}
	}
}

// clientError is a failure to write to the app: no shard is to blame.
type clientError struct{ error }
