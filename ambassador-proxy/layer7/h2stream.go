package layer7

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http1"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2/server"
)

// streamFields are the fields of a request over HTTP/2.
type streamFields []hpack.HeaderField

// Get is Fields.Get.
func (f *streamFields) Get(lower string) []byte {
	for i := range *f {
		if (*f)[i].Name == lower {
			return bytesOf((*f)[i].Value)
		}
	}
	return nil
}

func isGRPC(contentType []byte) bool { return bytes.HasPrefix(contentType, []byte("application/grpc")) }

func splitPath(target string) (path, query []byte) {
	p, q, has := strings.Cut(target, "?")
	if has {
		query = bytesOf(q)
	}
	return bytesOf(p), query
}

// streamConn is the client's side of an exchange that is a stream: the body of its request in HTTP/1.1's framing.
type streamConn struct {
	st      atomic.Pointer[server.Stream]
	looking sync.Mutex // the janitor looks at st, which must not become another's meanwhile
	chunked bool
	tail    []byte // what ends a chunked body, not read yet
	ended   bool
}

func (c *streamConn) begin(st *server.Stream) {
	c.st.Store(st)
	c.chunked, c.ended, c.tail = !st.NoBody && st.Head.Length < 0, st.NoBody, c.tail[:0]
}

func (c *streamConn) end() {
	c.looking.Lock()
	c.st.Store(nil)
	c.looking.Unlock()
}

// gone tells that the client has given the stream up.
func (c *streamConn) gone() bool {
	c.looking.Lock()
	defer c.looking.Unlock()
	st := c.st.Load()
	return st == nil || st.Err() != nil
}

const chunkRoom = 8 // of the size in front of a chunk, and its line end

func (c *streamConn) Read(p []byte) (int, error) { return c.read(p, (*server.Stream).Read) }

func readNow(st *server.Stream, p []byte) (int, error) {
	n, end, err := st.ReadNow(p)
	if n == 0 && end {
		err = io.EOF
	}
	return n, err
}

// readNow is Read without waiting: 0 when there is nothing.
func (c *streamConn) readNow(p []byte) int {
	if c.ended && len(c.tail) == 0 || len(p) < 2*chunkRoom {
		return 0
	}
	n, _ := c.read(p, readNow)
	return n
}

func (c *streamConn) read(p []byte, from func(*server.Stream, []byte) (int, error)) (int, error) {
	st := c.st.Load()
	if st == nil {
		return 0, net.ErrClosed
	}
	if len(c.tail) > 0 {
		n := copy(p, c.tail)
		c.tail = c.tail[n:]
		return n, nil
	}
	if c.ended {
		return 0, io.EOF
	}
	if !c.chunked {
		return from(st, p)
	}
	n, err := from(st, p[chunkRoom:len(p)-2])
	if n > 0 {
		var size [chunkRoom]byte
		head := append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...)
		copy(p[len(head):], p[chunkRoom:chunkRoom+n])
		copy(p, head)
		return copy(p[len(head)+n:], "\r\n") + len(head) + n, nil
	}
	if err != io.EOF {
		return 0, err
	}
	c.ended = true
	c.tail = append(c.tail[:0], "0\r\n"...)
	for _, f := range st.Trailers() {
		c.tail = append(append(append(append(c.tail, f.Name...), ": "...), f.Value...), "\r\n"...)
	}
	c.tail = append(c.tail, "\r\n"...)
	n = copy(p, c.tail)
	c.tail = c.tail[n:]
	return n, nil
}

// Write is never called: an answer to a stream is no bytes.
func (c *streamConn) Write([]byte) (int, error) { return 0, net.ErrClosed }

// Close ends nothing: the worker does.
func (c *streamConn) Close() error { return nil }

func (c *streamConn) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (c *streamConn) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline interrupts when t has come already; later times are not kept.
func (c *streamConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline is SetDeadline for reads.
func (c *streamConn) SetReadDeadline(t time.Time) error {
	c.looking.Lock()
	defer c.looking.Unlock()
	if st := c.st.Load(); st != nil {
		st.CutRead(!t.IsZero() && !t.After(time.Now()))
	}
	return nil
}

// SetWriteDeadline is SetDeadline for writes.
func (c *streamConn) SetWriteDeadline(t time.Time) error {
	c.looking.Lock()
	defer c.looking.Unlock()
	if st := c.st.Load(); st != nil {
		st.CutWrite(!t.IsZero() && !t.After(time.Now()))
	}
	return nil
}

// translate puts the request into the session's buffer as HTTP/1.1, with what has come of its body, and parses it.
func (x *exchange) translate() http1.Refusal {
	c, m := x.s.c, &x.s.stream.Head
	size := len(m.Method) + len(m.Path) + len(m.Authority) + 100
	for i := range m.Fields {
		size += len(m.Fields[i].Name) + len(m.Fields[i].Value) + len(": \r\n")
	}
	c.large = size > bufferBytes
	c.lease()
	c.large = false
	b := c.buf.b[:room]
	b = append(append(append(append(b, m.Method...), ' '), m.Path...), " HTTP/1.1\r\n"...)
	if m.Authority != "" {
		b = append(append(append(b, "host: "...), m.Authority...), "\r\n"...)
	}
	cookies := false
	for i := range m.Fields {
		switch f := &m.Fields[i]; f.Name {
		case "host":
		case "cookie": // RFC 9113, 8.2.3: crumbs become one
			if !cookies {
				cookies = true
				b = appendCookies(b, m.Fields[i:])
			}
		default:
			b = append(append(append(append(b, f.Name...), ": "...), f.Value...), "\r\n"...)
		}
	}
	conn := c.virtual
	if conn.chunked {
		b = append(b, "transfer-encoding: chunked\r\n"...)
	}
	b = append(b, "\r\n"...)
	c.r, c.w = room, len(b)
	n := conn.readNow(c.buf.b[c.w:])
	for c.w += n; n > 0 && c.w < len(c.buf.b); c.w += n {
		n = conn.readNow(c.buf.b[c.w:])
	}
	return x.req.Request(c.bytes(), false)
}

func appendCookies(b []byte, fields []hpack.HeaderField) []byte {
	b = append(b, "cookie: "...)
	for i := range fields {
		if fields[i].Name == "cookie" {
			if i > 0 {
				b = append(b, "; "...)
			}
			b = append(b, fields[i].Value...)
		}
	}
	return append(b, "\r\n"...)
}
