// Package listen binds the app's side and hands each connection to the engine of its listener.
package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Limit bounds the connections of all listeners together. Past it, new ones are reset at once.
type Limit struct {
	max      atomic.Int64
	open     atomic.Int64
	Rejected atomic.Int64
}

// Set changes the bound.
func (l *Limit) Set(n int) { l.max.Store(int64(n)) }

// Open is how many are open.
func (l *Limit) Open() int64 { return l.open.Load() }

// Listener accepts on the sockets of one address. Close it.
type Listener struct {
	address string
	socks   []net.Listener
	limit   *Limit
	running sync.WaitGroup
}

// Bind opens the sockets of [host:]port or unix:/path. Without a host, both loopbacks are bound; a machine without IPv6
// has only one.
func Bind(address string, limit *Limit) (*Listener, error) {
	l := &Listener{address: address, limit: limit}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		sock, err := bindUnix(path)
		if err != nil {
			return nil, err
		}
		l.socks = append(l.socks, sock)
		return l, nil
	}
	for i, a := range addresses(address) {
		sock, err := net.Listen("tcp", a)
		if err != nil {
			if i > 0 && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
				continue
			}
			l.closeSockets()
			return nil, fmt.Errorf("%w (is another container of this Pod listening there?)", err)
		}
		l.socks = append(l.socks, sock)
	}
	return l, nil
}

// bindUnix removes what a killed process has left behind, and nothing else.
func bindUnix(path string) (net.Listener, error) {
	sock, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if c, dialErr := net.DialTimeout("unix", path, time.Second); dialErr == nil {
			c.Close()
			return nil, err
		}
		if info, statErr := os.Lstat(path); statErr != nil || info.Mode()&os.ModeSocket == 0 {
			return nil, err
		}
		if os.Remove(path) == nil {
			sock, err = net.Listen("unix", path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w (is the volume mounted, and writable for the helper's uid?)", err)
	}
	return sock, os.Chmod(path, 0o666) // the app runs as another user; the volume says who gets there
}

func addresses(address string) []string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = "localhost", address
	}
	if host == "localhost" {
		return []string{"127.0.0.1:" + port, "[::1]:" + port}
	}
	return []string{address}
}

// Address as it was configured.
func (l *Listener) Address() string { return l.address }

// Serve accepts until Close and gives each connection to serve in a goroutine of its own.
func (l *Listener) Serve(serve func(net.Conn)) {
	for _, s := range l.socks {
		l.running.Go(func() { l.accept(s, serve) })
	}
}

func (l *Listener) accept(s net.Listener, serve func(net.Conn)) {
	for {
		c, err := s.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: others will close
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if l.limit.open.Add(1) > l.limit.max.Load() {
			l.limit.open.Add(-1)
			l.limit.Rejected.Add(1)
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.SetLinger(0)
			}
			c.Close()
			continue
		}
		go func() {
			defer l.limit.open.Add(-1)
			serve(c)
		}()
	}
}

// Close stops accepting. Connections that were accepted go on.
func (l *Listener) Close() {
	l.closeSockets()
	l.running.Wait()
}

func (l *Listener) closeSockets() {
	for _, s := range l.socks {
		s.Close()
	}
}
