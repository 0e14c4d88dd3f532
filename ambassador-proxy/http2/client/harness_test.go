package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is the other side of a connection, made of frames.
type peer struct {
	*xhttp2.Framer
	t    *testing.T
	c    net.Conn
	enc  *hpack.Encoder
	head bytes.Buffer
	dec  *hpack.Decoder
}

// connected is a connection whose other side does what script says; that has ended when the test ends.
func connected(t *testing.T, config Config, script func(p *peer)) *Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		defer theirs.Close()
		served(t, theirs, script)
	})
	c := New(nc, config)
	t.Cleanup(func() { c.Close(); running.Wait() })
	return c
}

func served(t *testing.T, c net.Conn, script func(p *peer)) {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(c, make([]byte, len(xhttp2.ClientPreface))); err != nil {
		return
	}
	p := &peer{Framer: xhttp2.NewFramer(c, c), t: t, c: c, dec: hpack.NewDecoder(4096, func(hpack.HeaderField) {})}
	p.enc = hpack.NewEncoder(&p.head)
	p.AllowIllegalWrites = true
	script(p)
}

// next is the next frame of that type; nil when the connection has ended. SETTINGS are acknowledged.
func next[F xhttp2.Frame](p *peer, fits func(F) bool) (found F) {
	for {
		frame, err := p.ReadFrame()
		if err != nil {
			return found
		}
		if f, ok := frame.(*xhttp2.SettingsFrame); ok && !f.IsAck() {
			_ = p.WriteSettingsAck()
		}
		if h, ok := frame.(*xhttp2.HeadersFrame); ok {
			_, _ = p.dec.Write(h.HeaderBlockFragment())
		}
		if f, ok := frame.(F); ok && (fits == nil || fits(f)) {
			return f
		}
	}
}

// request waits for the head of a request.
func (p *peer) request() (id uint32) {
	if f := next[*xhttp2.HeadersFrame](p, nil); f != nil {
		return f.StreamID
	}
	return 0
}

// reset waits for a RST_STREAM, or 0xff for the end.
func (p *peer) reset() xhttp2.ErrCode {
	if f := next[*xhttp2.RSTStreamFrame](p, nil); f != nil {
		return f.ErrCode
	}
	return 0xff
}

// drain reads until the other side closes.
func (p *peer) drain() {
	for next[*xhttp2.UnknownFrame](p, nil) != nil {
	}
}

func (p *peer) block(fields ...string) []byte {
	p.head.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(p.head.Bytes())
}

func (p *peer) answer(id uint32, end bool, fields ...string) {
	_ = p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(fields...), EndHeaders: true, EndStream: end})
}

// ok answers with a body.
func (p *peer) ok(id uint32, body string) {
	p.answer(id, false, ":status", "200")
	_ = p.WriteData(id, true, []byte(body))
}

// ask makes a request and gives the whole answer.
func ask(t *testing.T, c *Conn, method, body string) (*http.Response, string, error) {
	t.Helper()
	return asked(t, c, method, strings.NewReader(body))
}

func asked(t *testing.T, c *Conn, method string, body io.Reader) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequest(method, "http://shop/a?b=c", body)
	if err != nil {
		t.Fatal(err)
	}
	return sent(t, c, r)
}

func sent(t *testing.T, c *Conn, r *http.Request) (*http.Response, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	x := NewExchange(r.WithContext(ctx), "http")
	s := c.Open(&x.Request)
	if s == nil {
		t.Fatalf("no stream: %v", c.Err())
	}
	response, err := x.Response(s)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	return response, string(got), err
}

// opened is a stream of a GET by the lean interface.
func opened(c *Conn, end bool) (*Stream, chan struct{}) {
	wake := make(chan struct{}, 1)
	return c.Open(&Request{Fields: get, End: end, Event: wake, Room: wake}), wake
}

var get = []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "a"}, {Name: ":path", Value: "/"}}

func reasonOf(err error) reason.Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return reason.OK
}

func safe(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Safe
}

func newRequest(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://shop/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
