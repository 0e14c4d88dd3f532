package output

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rawConn is the socket under conn, TLS or not.
func rawConn(conn net.Conn) (syscall.RawConn, error) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil, errors.New("not a socket")
	}
	return c.SyscallConn()
}

// unsent is the number of bytes that the peer has not confirmed.
func unsent(conn net.Conn) (n int, err error) {
	raw, err := rawConn(conn)
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return n, errors.Join(controlErr, err)
}

// peerClosed looks, all but without waiting, whether the peer has ended the connection. Servers of syslog never send, but
// TLS does, so its records have to be read before the end behind them shows.
func peerClosed(conn net.Conn) bool { return closedWithin(conn, time.Millisecond) }

// closedWithin waits so long for the end of a TLS connection; of others it sees what the kernel knows.
func closedWithin(conn net.Conn, wait time.Duration) bool {
	if t, ok := conn.(*tls.Conn); ok {
		_ = t.SetReadDeadline(time.Now().Add(wait))
		_, err := t.Read(make([]byte, 1))
		_ = t.SetReadDeadline(time.Time{})
		return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
	}
	raw, err := rawConn(conn)
	if err != nil {
		return true
	}
	closed := false
	err = raw.Control(func(fd uintptr) {
		n, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		closed = err == nil && n == 0 || err != nil && !errors.Is(err, unix.EAGAIN)
	})
	return closed || err != nil
}
