package output

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"
)

// connections are those of a server that is not over HTTP. mu is the server's too.
type connections struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
}

// accept serves each connection until the test ends.
func (s *connections) accept(t *testing.T, serve func(net.Conn)) {
	s.wg.Go(func() {
		for {
			conn, err := s.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.wg.Go(func() { serve(conn) })
		}
	})
	t.Cleanup(func() { _ = s.Close(); s.drop(); s.wg.Wait() })
}

// drop closes all of them.
func (s *connections) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}

func listen(t *testing.T, network string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// listenFor listens over TLS where server is not nil. last is the state of the connection that was accepted last.
func listenFor(t *testing.T, server *tls.Config) (url string, l net.Listener, last func() *tls.ConnectionState) {
	l = listen(t, "tcp")
	if server == nil {
		return "tcp://" + l.Addr().String(), l, nil
	}
	r := &recorder{Listener: tls.NewListener(l, server)}
	return "tls://" + l.Addr().String(), r, r.state
}

// recorder remembers the connection that was accepted last.
type recorder struct {
	net.Listener
	mu   sync.Mutex
	last *tls.Conn
}

func (r *recorder) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, _ = conn.(*tls.Conn)
	return conn, err
}

func (r *recorder) state() *tls.ConnectionState {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		return nil
	}
	s := r.last.ConnectionState()
	return &s
}
