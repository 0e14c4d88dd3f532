package listen

import (
	"crypto/tls"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Sockets are the open connections of an engine that carries bytes without reading them, of both sides: to close them all,
// and to know when bytes last moved. Make it with NewSockets. Safe for concurrent use.
type Sockets struct {
	mu   sync.Mutex
	open map[net.Conn]struct{} // nil once closed
	seen uint64                // bytes received by all of them at the last look
	last time.Time
}

// NewSockets holds none yet.
func NewSockets() *Sockets { return &Sockets{open: map[net.Conn]struct{}{}} }

// Add takes c, which Remove will close. It is false, and c is closed, after Close.
func (s *Sockets) Add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		c.Close()
		return false
	}
	s.open[c] = struct{}{}
	s.last = time.Now()
	return true
}

// Remove closes c and forgets it.
func (s *Sockets) Remove(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	s.last = time.Now()
}

// Len is the number of open sockets of both sides.
func (s *Sockets) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// LastActivity is when a connection was made or ended, or when it was last found that bytes had moved since the call before:
// an idle connection is no activity. Zero before the first.
func (s *Sockets) LastActivity() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum uint64
	for c := range s.open {
		sum += received(c)
	}
	if sum != s.seen {
		s.seen, s.last = sum, time.Now()
	}
	return s.last
}

// Close closes all of them; later ones are closed as they come.
func (s *Sockets) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.Close()
	}
	s.open = nil
}

// received asks the kernel, who counts anyway: nothing is counted on the way of the bytes.
func received(c net.Conn) uint64 {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0
	}
	var n uint64
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = info.Bytes_received
		}
	})
	return n
}
