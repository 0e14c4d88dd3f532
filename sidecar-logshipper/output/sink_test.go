package output

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// sink is a destination over HTTP whose answers are scripted. Without a script it takes everything.
type sink struct {
	*httptest.Server
	read func(body []byte) ([]string, error) // the messages in a body
	// refuse answers a body that holds a poison record; 400 when nil.
	refuse func(w http.ResponseWriter, messages []string)

	mu       sync.Mutex
	over     chan struct{}
	script   []http.HandlerFunc // one for each of the next requests
	taken    []string
	requests []*http.Request
	bodies   [][]byte
}

const poison = "poison"

func newSink(t *testing.T, read func([]byte) ([]string, error), refuse func(http.ResponseWriter, []string), http2 bool, start func(*httptest.Server)) *sink {
	s := &sink{read: read, refuse: refuse, over: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	if http2 {
		s.EnableHTTP2 = true
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP2(true)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
	}
	start(s.Server)
	t.Cleanup(func() { close(s.over); s.CloseClientConnections(); s.Close() })
	return s
}

// then scripts the answers to the next requests.
func (s *sink) then(answers ...http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, answers...)
}

func (s *sink) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.taken)
}

func (s *sink) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	var answer http.HandlerFunc
	if len(s.script) > 0 {
		answer, s.script = s.script[0], s.script[1:]
	}
	s.requests = append(s.requests, r.Clone(context.Background()))
	s.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	body, err := unpack(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	messages, err := s.read(body)
	if err != nil {
		http.Error(w, "cannot read: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if slices.Contains(messages, poison) {
		s.refused(w, messages)
		return
	}
	s.take(body, messages)
	if overHTTP2(r) {
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		_, _ = w.Write(make([]byte, 5)) // an empty message
		return
	}
	_, _ = io.WriteString(w, `{"errors":false}`)
}

// overHTTP2 says that a request is gRPC.
func overHTTP2(r *http.Request) bool { return r.Header.Get("Content-Type") == "application/grpc" }

func (s *sink) take(body []byte, messages []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken, s.bodies = append(s.taken, messages...), append(s.bodies, body)
}

func (s *sink) refused(w http.ResponseWriter, messages []string) {
	if s.refuse == nil {
		http.Error(w, "one record is bad", http.StatusBadRequest)
		return
	}
	s.take(nil, slices.DeleteFunc(slices.Clone(messages), func(m string) bool { return m == poison }))
	s.refuse(w, messages)
}

func unpack(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	encoding := r.Header.Get("Content-Encoding")
	if overHTTP2(r) {
		if len(body) < 5 || int(binary.BigEndian.Uint32(body[1:])) != len(body)-5 || r.Header.Get("Te") != "trailers" || r.ProtoMajor != 2 {
			return nil, fmt.Errorf("not gRPC: %.20q over %s", body, r.Proto)
		}
		if body[0] == 1 {
			encoding = r.Header.Get("Grpc-Encoding")
		}
		body = body[5:]
	}
	switch {
	case encoding == "gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z)
	case encoding == "zstd":
		z, err := zstd.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		return io.ReadAll(z)
	case encoding == "snappy", strings.Contains(r.URL.Path, "/loki/"):
		return snappy.Decode(nil, body)
	}
	return body, nil
}

// The answers of a script.

func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		http.Error(w, "scripted", code)
	}
}

// reset ends the connection with a RST in the middle of the request.
func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// hang neither reads nor answers until the test is over.
func (s *sink) hang(http.ResponseWriter, *http.Request) { <-s.over }

// slow reads the body in small pieces before serve goes on with it.
func (s *sink) slow(w http.ResponseWriter, r *http.Request) {
	var all bytes.Buffer
	for {
		n, err := io.CopyN(&all, r.Body, 64<<10)
		if err != nil || n == 0 {
			break
		}
		time.Sleep(2 * time.Millisecond) // the destination is what is slow here, the test waits for its answer
	}
	r.Body = io.NopCloser(&all)
	s.serve(w, r)
}
