package server

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipe is a Transport over a net.Conn.
type pipe struct {
	net.Conn
	b       []byte
	onWrite func() // called before the next write
}

func (p *pipe) Write(b []byte) (int, error) {
	if f := p.onWrite; f != nil {
		p.onWrite = nil
		f()
	}
	return p.Conn.Write(b)
}

func (p *pipe) Bytes() []byte { return p.b }
func (p *pipe) Skip(n int)    { p.b = p.b[n:] }

func (p *pipe) More() error {
	b := make([]byte, 32<<10)
	n, err := p.Read(b)
	p.b = append(p.b, b[:n]...)
	if n > 0 {
		return nil
	}
	return err
}

// peer is a client that speaks in frames.
type peer struct {
	t      *testing.T
	conn   net.Conn
	in     []byte
	parser http2.Parser
	hpack  *http2.Decoder
	next   uint32
}

// serve starts a server whose streams handle answers.
func serve(t *testing.T, cfg Config, handle func(*Stream)) *peer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	cfg.Start = func(s *Stream) { running.Go(func() { handle(s) }) }
	cfg.Head, cfg.Idle, cfg.Quiet, cfg.Pong = or(cfg.Head), or(cfg.Idle), or(cfg.Quiet), or(cfg.Pong)
	running.Go(func() { Serve(&pipe{Conn: server}, &cfg) })
	t.Cleanup(func() { client.Close(); running.Wait() })
	_ = client.SetDeadline(time.Now().Add(30 * time.Second))
	p := &peer{t: t, conn: client, hpack: http2.NewDecoder(), next: 1}
	p.write([]byte(http2.ClientPrefix), http2.AppendSettings(nil), http2.AppendSettingsAck(nil))
	return p
}

func or(d time.Duration) time.Duration {
	if d == 0 {
		return time.Minute
	}
	return d
}

func (p *peer) write(frames ...[]byte) {
	if _, err := p.conn.Write(bytes.Join(frames, nil)); err != nil {
		p.t.Error(err)
	}
}

// request sends a head.
func (p *peer) request(end bool, fields ...string) (stream uint32) {
	stream, p.next = p.next, p.next+2
	b := http2.BeginHeaders(nil)
	for _, f := range append([]string{":method POST", ":scheme http", ":path /"}, fields...) {
		name, value, _ := strings.Cut(f, " ")
		b = http2.AppendField(b, name, value)
	}
	p.write(http2.FinishHeaders(b, 0, stream, end, http2.MinFrameBytes))
	return stream
}

// frame is the next that is not about settings; nil when the connection has ended.
func (p *peer) frame() *http2.Frame {
	for b := make([]byte, 64<<10); ; {
		f, n, fault := p.parser.Next(p.in)
		switch {
		case fault != nil:
			p.t.Fatal(fault)
		case n == 0:
			k, err := p.conn.Read(b)
			if p.in = append(p.in, b[:k]...); err != nil {
				return nil
			}
			continue
		}
		f.Payload = bytes.Clone(f.Payload)
		if p.in = p.in[n:]; f.Type != http2.Settings && (f.Type != http2.WindowUpdate || f.Stream != 0) {
			return &f
		}
	}
}

func (p *peer) fields(f *http2.Frame) []hpack.HeaderField {
	list, _, err := p.hpack.Decode(nil, f.Payload, 1<<20)
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

// want is the next frame, which must be of a type.
func (p *peer) want(t http2.Type) *http2.Frame {
	p.t.Helper()
	f := p.frame()
	if f == nil || f.Type != t {
		p.t.Fatalf("got %+v, want type %d", f, t)
	}
	return f
}

func ok(bool) []byte { return http2.AppendStatus(nil, 200) }

func echo(s *Stream) {
	defer s.Finish(true)
	_ = s.WriteHead(ok(false), false)
	for b := make([]byte, 10_000); ; {
		n, err := s.Read(b)
		if err == io.EOF {
			break
		}
		if err != nil {
			return
		}
		if _, err = s.Write(b[:n], false); err != nil {
			return
		}
	}
	var block []byte
	for _, f := range s.Trailers() {
		block = http2.AppendField(block, f.Name, f.Value)
	}
	_ = s.WriteHead(block, true)
}
