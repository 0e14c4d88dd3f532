package output

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
	"unsafe"
)

// direct speaks HTTP/1.1 over one plain TCP connection, one request at a time. It is there for what net/http costs where a
// client needs no more: two goroutines to hand each request to and back, and a system call for its head that wakes the
// server for nothing. TLS and proxies go through net/http.
type direct struct {
	proxy  func(*url.URL) (*url.URL, error)
	dialer net.Dialer
	head   bytes.Buffer

	host  string // which is asked, host:port as in the URL
	plain bool   // it can be asked directly
	conn  *directConn
}

// idleMost is how long a connection may rest before it is used again: something on the way may have forgotten it.
const idleMost = 90 * time.Second

func newDirect(proxy func(*url.URL) (*url.URL, error)) *direct {
	return &direct{proxy: proxy, dialer: net.Dialer{Timeout: 10 * time.Second}}
}

// takes says whether a request to u can go directly.
func (d *direct) takes(u *url.URL) bool {
	if u.Scheme != "http" {
		return false
	}
	if d.host != u.Host {
		via, err := d.proxy(u)
		ascii := !strings.ContainsFunc(u.Host, func(r rune) bool { return r >= utf8.RuneSelf }) // else net/http translates it
		d.close()
		d.host, d.plain = u.Host, err == nil && via == nil && ascii
	}
	return d.plain
}

// do sends r with body and reads the head of the answer. Its body must be closed before the next call. Errors are those of
// http.Client.
func (d *direct) do(r *http.Request, body []byte) (*http.Response, error) {
	answer, err := d.exchange(r, body)
	if err == nil {
		return answer, nil
	}
	if cause := r.Context().Err(); cause != nil {
		err = cause
	}
	return nil, &url.Error{Op: r.Method[:1] + strings.ToLower(r.Method[1:]), URL: r.URL.String(), Err: err}
}

func (d *direct) exchange(r *http.Request, body []byte) (*http.Response, error) {
	c, err := d.connect(r)
	if err != nil {
		return nil, err
	}
	// Whoever ends the context ends the connection: whatever waits on it returns.
	stop := context.AfterFunc(r.Context(), func() { _ = c.Close() })
	d.writeHead(r, len(body))
	err = c.send(d.head.Bytes(), body)
	answer := (*http.Response)(nil)
	if err == nil || c.readable() { // some answer before they have read everything, and close
		answer, err = c.answer(r)
	}
	if err != nil {
		stop()
		_ = c.Close()
		return nil, err
	}
	answer.Body = &directBody{ReadCloser: answer.Body, done: func(whole bool) {
		// What follows the answer would be taken for the next one's.
		if stop() && whole && !answer.Close && !c.broken && c.in.Buffered() == 0 {
			c.used, d.conn = time.Now(), c
			return
		}
		_ = c.Close()
	}}
	return answer, nil
}

// connect takes the connection that is left from the last request, or makes one.
func (d *direct) connect(r *http.Request) (*directConn, error) {
	if c := d.conn; c != nil {
		d.conn = nil
		if time.Since(c.used) < idleMost && !c.readable() {
			return c, nil
		}
		_ = c.Close()
	}
	address := r.URL.Host
	if r.URL.Port() == "" {
		address = net.JoinHostPort(r.URL.Hostname(), "80")
	}
	conn, err := d.dialer.DialContext(r.Context(), "tcp", address)
	if err != nil {
		return nil, err
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &directConn{Conn: conn, raw: raw, in: bufio.NewReader(conn)}, nil
}

// writeHead renders the request line and the headers, which are net/http's.
func (d *direct) writeHead(r *http.Request, length int) {
	agent := r.UserAgent()
	if agent == "" {
		agent = "Go-http-client/1.1"
	}
	d.head.Reset()
	fmt.Fprintf(&d.head, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nContent-Length: %d\r\n", r.Method, r.URL.RequestURI(), r.Host, agent, length)
	_ = r.Header.WriteSubset(&d.head, map[string]bool{"Host": true, "User-Agent": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true})
	d.head.WriteString("\r\n")
}

func (d *direct) close() {
	if d.conn != nil {
		_ = d.conn.Close()
		d.conn = nil
	}
}

// directBody tells how far the body of an answer was read when it is closed.
type directBody struct {
	io.ReadCloser
	whole bool
	done  func(whole bool)
}

func (b *directBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.whole = b.whole || err == io.EOF
	return n, err
}

func (b *directBody) Close() error {
	if b.done != nil {
		b.done(b.whole)
		b.done = nil
	}
	return nil
}

// directConn is a TCP connection.
type directConn struct {
	net.Conn
	raw    syscall.RawConn
	in     *bufio.Reader
	used   time.Time // last
	broken bool      // a request did not get through to its end
}

// lookUp is how often a write that waits looks whether the answer is there already.
const lookUp = 100 * time.Millisecond

// send writes head and body together. It is done early, and the connection broken, when the server has answered.
func (c *directConn) send(head, body []byte) error {
	var failed error
	for {
		waited := false
		err := c.raw.Write(func(fd uintptr) bool {
			if head, failed = sendRaw(fd, head, syscall.MSG_MORE); len(head) == 0 && failed == nil {
				body, failed = sendRaw(fd, body, 0)
			}
			if failed != syscall.EAGAIN {
				return true
			}
			_ = c.SetWriteDeadline(time.Now().Add(lookUp))
			waited = true
			return false
		})
		if waited { // or the next Write, of this request or a later one, ends before it has begun
			_ = c.SetWriteDeadline(time.Time{})
		}
		switch {
		case failed == nil && err == nil:
			return nil
		case err == nil:
			err = os.NewSyscallError("write", failed)
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !c.readable() {
				continue
			}
			err = nil
		}
		c.broken = true
		return err
	}
}

// sendRaw writes what the socket takes and returns the rest. The call does not block, so it does not hand the processor to
// another thread as package net's writes do when they take long.
func sendRaw(fd uintptr, p []byte, flags uintptr) (rest []byte, err error) {
	for len(p) > 0 {
		n, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_NOSIGNAL|flags, 0, 0)
		switch e {
		case 0:
			p = p[n:]
		case syscall.EINTR:
		default:
			return p, e
		}
	}
	return p, nil
}

// readable says that there is something to read: an answer, or the end.
func (c *directConn) readable() (yes bool) {
	var b [1]byte
	_ = c.raw.Control(func(fd uintptr) {
		_, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
		yes = e != syscall.EAGAIN
	})
	return yes
}

// answer reads the head of the answer.
func (c *directConn) answer(r *http.Request) (*http.Response, error) {
	for {
		answer, err := http.ReadResponse(c.in, r)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, fmt.Errorf("server closed the connection: %w", err)
		}
		if err != nil || answer.StatusCode >= http.StatusOK {
			return answer, err
		}
	}
}
