package layer7

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// sink is a connection that keeps what is written to it.
type sink struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
	err    error
	closed bool
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.closed {
		return 0, errors.Join(s.err, net.ErrClosed)
	}
	s.writes = append(s.writes, bytes.Clone(p))
	return len(p), nil
}

func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *sink) SetWriteDeadline(time.Time) error { return nil }

func TestGather_WritesAllInOrderWithFewCalls(t *testing.T) {
	s := &sink{}
	g := NewGather(s, 0)
	var want []byte
	synctest.Test(t, func(*testing.T) {
		for i := range 2000 {
			p := bytes.Repeat([]byte{byte(i)}, 1+i%100)
			if i%500 == 499 {
				p = bytes.Repeat(p, 1000) // more than is gathered
			}
			want = append(want, p...)
			if n, err := g.Write(p); n != len(p) || err != nil {
				t.Fatal(n, err)
			}
		}
		synctest.Wait()
	})
	if got := bytes.Join(s.writes, nil); !bytes.Equal(got, want) {
		t.Fatalf("%d bytes of %d, or in another order", len(got), len(want))
	}
	if len(s.writes) > 1000 {
		t.Errorf("%d calls for 2000 writes", len(s.writes))
	}
}

func TestGather_ClosesBehindWhatWaits(t *testing.T) {
	s := &sink{}
	g := NewGather(s, time.Second)
	_, _ = g.Write([]byte("last words"))
	g.Close()
	if got := bytes.Join(s.writes, nil); string(got) != "last words" || !s.closed {
		t.Errorf("%q, closed %v", got, s.closed)
	}
}

func TestGather_TellsOfAFailedWriteWithTheNextAndClosesWhenThePeerIsStuck(t *testing.T) {
	for fault, closes := range map[error]bool{syscall.EPIPE: false, os.ErrDeadlineExceeded: true} {
		s := &sink{err: fault}
		g := NewGather(s, time.Second)
		synctest.Test(t, func(*testing.T) {
			_, _ = g.Write([]byte("x"))
			synctest.Wait()
		})
		if _, err := g.Write([]byte("y")); !errors.Is(err, fault) || s.closed != closes {
			t.Errorf("%v: %v, closed %v", fault, err, s.closed)
		}
	}
}

func TestGather_ClosesThoughThePeerTakesNothing(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	g := NewGather(near, 0)
	_, _ = g.Write([]byte("nobody reads this"))
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}
