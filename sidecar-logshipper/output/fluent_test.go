package output

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// unpackValue reads one MessagePack value by its specification. An EventTime is a time.Time.
func unpackValue(r *bufio.Reader) (any, error) {
	kind, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	number := func(size int) int {
		var b [8]byte
		if _, e := io.ReadFull(r, b[8-size:]); e != nil {
			err = e
		}
		return int(binary.BigEndian.Uint64(b[:]))
	}
	text := func(n int) []byte {
		b, e := io.ReadAll(io.LimitReader(r, int64(n)))
		if e == nil && len(b) < n {
			e = io.ErrUnexpectedEOF
		}
		err = errors.Join(err, e)
		return b
	}
	switch {
	case kind < 0x80:
		return int64(kind), nil
	case kind>>4 == 8:
		return unpackMap(r, int(kind&15))
	case kind>>4 == 9:
		list := make([]any, kind&15)
		for i := range list {
			if list[i], err = unpackValue(r); err != nil {
				return nil, err
			}
		}
		return list, nil
	case kind>>5 == 5:
		return string(text(int(kind & 31))), err
	}
	switch kind {
	case 0xc0:
		return nil, nil
	case 0xc2, 0xc3:
		return kind == 0xc3, nil
	case 0xc4, 0xc5, 0xc6:
		return text(number(1 << (kind - 0xc4))), err
	case 0xcb:
		return math.Float64frombits(uint64(number(8))), err
	case 0xd3:
		return int64(number(8)), err
	case 0xd7:
		if ext := number(1); ext != 0 {
			return nil, fmt.Errorf("extension %d", ext)
		}
		return time.Unix(int64(number(4)), int64(number(4))).UTC(), err
	case 0xd9, 0xda, 0xdb:
		return string(text(number(1 << (kind - 0xd9)))), err
	case 0xde, 0xdf:
		return unpackMap(r, number(2<<(kind-0xde)))
	}
	return nil, fmt.Errorf("format %#x", kind)
}

func unpackMap(r *bufio.Reader, n int) (any, error) {
	m := make(map[string]any, n)
	for range n {
		key, err := unpackValue(r)
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if _, again := m[name]; !ok || again {
			return nil, fmt.Errorf("key %v", key)
		}
		if m[name], err = unpackValue(r); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// forwardSink is a strict server of the Forward protocol, in PackedForward and CompressedPackedForward mode.
type forwardSink struct {
	connections
	tags   []string
	events []map[string]any // with the time under "@time"
	mute   bool             // no acknowledgements
	ack    string           // sent instead of the right one
	style  string           // of acknowledgements
	login  *login           // nil: anybody may send
	err    error            // the first thing that was not by the specification
}

func newForwardSink(t *testing.T, l net.Listener) *forwardSink {
	s := &forwardSink{connections: connections{Listener: l}}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err != nil {
			t.Errorf("not by the specification: %v", s.err)
		}
	})
	s.accept(t, s.serve)
	return s
}

// packAck is {"ack": chunk}, in one of the encodings that servers give it.
func (s *forwardSink) packAck(chunk string) []byte {
	text := map[string]string{"": "\xb8", "str 8": "\xd9\x18", "raw 16": "\xda\x00\x18", "bin": "\xc4\x18", "among others": "\xb8"}[s.style]
	if s.style == "among others" {
		return []byte("\x82\xa1x\x01\xa3ack" + text + chunk)
	}
	return []byte("\x81\xa3ack" + text + chunk)
}

func (s *forwardSink) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	s.mu.Lock()
	l := s.login
	s.mu.Unlock()
	if l != nil {
		admitted, err := l.admit(conn, r)
		if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
		}
		if !admitted {
			return
		}
	}
	for {
		if _, err := r.Peek(1); err != nil {
			return
		}
		message, err := unpackValue(r)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) {
			return
		}
		s.mu.Lock()
		var chunk string
		if err == nil {
			chunk, err = s.take(message)
		}
		if err != nil {
			s.err = err
		}
		if s.ack != "" {
			chunk = s.ack
		}
		silent := err != nil || s.mute
		s.mu.Unlock()
		if !silent {
			_, _ = conn.Write(s.packAck(chunk))
		}
		if l != nil && l.short {
			return
		}
	}
}

// isID says that a chunk is named as the specification wants it: 128 bits in Base64.
func isID(chunk string) bool {
	id, err := base64.StdEncoding.DecodeString(chunk)
	return err == nil && len(id) == 16
}

func (s *forwardSink) take(message any) (chunk string, err error) {
	m, ok := message.([]any)
	if !ok || len(m) != 3 {
		return "", fmt.Errorf("message %v", message)
	}
	tag, isText := m[0].(string)
	entries, isBinary := m[1].([]byte)
	option, isMap := m[2].(map[string]any)
	chunk, hasChunk := option["chunk"].(string)
	if !isText || !isBinary || !isMap || !hasChunk || !isID(chunk) {
		return "", fmt.Errorf("tag %T, entries %T, options %v", m[0], m[1], m[2])
	}
	var r io.Reader = bytes.NewReader(entries)
	if option["compressed"] == "gzip" {
		if r, err = gzip.NewReader(r); err != nil {
			return "", err
		}
	}
	size := int64(0)
	for b := bufio.NewReader(r); ; size++ {
		entry, err := unpackValue(b)
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		event := entry.([]any)[1].(map[string]any)
		event["@time"] = entry.([]any)[0].(time.Time)
		s.events = append(s.events, event)
	}
	if size != option["size"] {
		return "", fmt.Errorf("%d entries, size %v", size, option["size"])
	}
	s.tags = append(s.tags, tag)
	return chunk, nil
}

func (s *forwardSink) messages() (messages []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		messages = append(messages, e["message"].(string))
	}
	return messages
}

func startFluent(t *testing.T, server *tls.Config, client tlsfile.Client) *destination {
	return startFluentWith(t, nil, server, client)
}

func startFluentWith(t *testing.T, who *login, server *tls.Config, client tlsfile.Client) *destination {
	url, l, last := listenFor(t, server)
	s := newForwardSink(t, l)
	s.mu.Lock()
	s.login = who
	s.mu.Unlock()
	return &destination{config: Config{Fluent: &FluentConfig{URL: url, TLS: client}}, messages: s.messages, drop: s.drop, last: last}
}

func fluentTo(s *forwardSink, c FluentConfig) Config {
	c.URL = "tcp://" + s.Addr().String() + "/app.web"
	return Config{Fluent: &c}
}

func TestFluent_EntriesHaveNanosecondsAndTypedFieldsAndLabels(t *testing.T) {
	for _, compression := range []string{"none", "gzip"} {
		s := newForwardSink(t, listen(t, "tcp"))
		out := open(t, fluentTo(s, FluentConfig{Compression: compression}))
		r := recordOf("hello", record.Field{Name: "n", Kind: record.Number, Value: []byte("-5")},
			record.Field{Name: "f", Kind: record.Number, Value: []byte("1.5")}, record.Field{Name: "ok", Kind: record.Bool, Value: []byte("true")},
			record.Field{Name: "none", Kind: record.Null}, record.Field{Name: "pod", Value: []byte("own")})
		body := out.out.AppendRecord(out.out.Begin(nil), r)
		if err := out.out.Send(t.Context(), &Batch{Body: body, Records: 1}); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprint(map[string]any{"@time": time.Unix(0, r.Time).UTC(), "message": "hello", "level": "error", "n": int64(-5), "f": 1.5,
			"ok": true, "none": nil, "pod": "own", "namespace": "shop", "file": "/var/log/app.log"})
		if got := fmt.Sprint(s.events[0]); got != want || s.tags[0] != "app.web" {
			t.Errorf("tag %s\ngot  %s\nwant %s", s.tags[0], got, want)
		}
	}
}

func TestFluent_LinesOfEveryLengthArrive(t *testing.T) {
	s := newForwardSink(t, listen(t, "tcp"))
	var lines []string
	for _, n := range []int{1, 31, 32, 255, 256, 65535, 65536} {
		lines = append(lines, string(bytes.Repeat([]byte{'x'}, n)))
	}
	open(t, fluentTo(s, FluentConfig{})).ship(lines...)
	if !slices.Equal(s.messages(), lines) {
		t.Error("not the same")
	}
}

func TestFluent_AnAcknowledgementIsReadInEachEncodingThatServersGiveIt(t *testing.T) {
	for _, style := range []string{"", "str 8", "raw 16", "bin", "among others"} {
		s := newForwardSink(t, listen(t, "tcp"))
		s.mu.Lock()
		s.style = style
		s.mu.Unlock()
		out := open(t, fluentTo(s, FluentConfig{}))
		for range 2 {
			if err := out.send(t.Context(), numbered(3)); err != nil {
				t.Errorf("%s: %v", style, err)
			}
		}
	}
}

func TestFluent_IsNotAcknowledgedWithoutTheAckOfItsChunk(t *testing.T) {
	s := newForwardSink(t, listen(t, "tcp"))
	out := open(t, fluentTo(s, FluentConfig{Timeout: conf.Duration(100 * time.Millisecond)}))
	s.mu.Lock()
	s.mute = true
	s.mu.Unlock()
	if retry, ok := errors.AsType[*Retryable](out.send(t.Context(), numbered(1))); !ok || retry.Reason != "timeout" {
		t.Errorf("no ack: %v", retry)
	}
	s.mu.Lock()
	s.mute, s.ack = false, "p8n9gmxTQVC8/nh2wlKKeQ=="
	s.mu.Unlock()
	if err := out.send(t.Context(), numbered(1)); err == nil {
		t.Error("the ack of another chunk was taken")
	}
}
