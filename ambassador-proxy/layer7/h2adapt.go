package layer7

import (
	"context"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2/server"
)

// ServeStream answers a stream of HTTP/2 as ServeHTTP answers a request over HTTP/1.1.
func (s *Std) ServeStream(st *server.Stream) {
	ctx, cancel := context.WithCancel(s.life)
	defer cancel()
	st.OnAbort(cancel)
	w := &streamWriter{st: st, header: http.Header{}}
	r := streamRequest(st)
	defer func() {
		switch v := recover(); v {
		case nil:
			w.end()
		default:
			st.Reset(http2.InternalError)
			if v != http.ErrAbortHandler { //nolint:errorlint // as net/http has it
				errorLog(s.cfg.Log).Printf("panic: %v\n%s", v, debug.Stack())
			}
		}
	}()
	s.ServeHTTP(w, r.WithContext(ctx))
}

// streamRequest is the request of a stream.
func streamRequest(st *server.Stream) *http.Request {
	m := &st.Head
	h := make(http.Header, len(m.Fields))
	for i := range m.Fields {
		f := &m.Fields[i]
		switch name := textproto.CanonicalMIMEHeaderKey(f.Name); {
		case name == "Host":
		case name == "Cookie" && len(h[name]) > 0: // RFC 9113, 8.2.3
			h[name][0] += "; " + f.Value
		default:
			h[name] = append(h[name], f.Value)
		}
	}
	u, err := url.ParseRequestURI(m.Path)
	if err != nil {
		u = &url.URL{Path: m.Path} // only its bytes go on
	}
	r := &http.Request{Method: m.Method, URL: u, Proto: "HTTP/2.0", ProtoMajor: 2, Header: h, Host: m.Authority, RequestURI: m.Path,
		Body: http.NoBody}
	if !st.NoBody {
		r.Body, r.ContentLength = &streamBody{st}, m.Length
	}
	return r
}

// streamBody is the body of a stream's request.
type streamBody struct{ st *server.Stream }

func (b *streamBody) Read(p []byte) (int, error) {
	n, err := b.st.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // never wrapped
		err = io.ErrUnexpectedEOF // the client has given it up
	}
	return n, err
}

// Close ends a read that waits.
func (b *streamBody) Close() error {
	b.st.CutRead(true)
	return nil
}

// streamWriter sends an answer to a stream. Its head goes along with what follows it, or with a Flush.
type streamWriter struct {
	st     *server.Stream
	header http.Header
	block  []byte
	status int
	sent   bool // the head
}

func (w *streamWriter) Header() http.Header { return w.header }

func (w *streamWriter) WriteHeader(status int) {
	switch {
	case w.status != 0:
	case status < 200:
		_ = w.st.WriteHead(w.render(status), false)
	default:
		w.status = status
		w.block = w.render(status)
	}
}

func (w *streamWriter) render(status int) []byte {
	b := http2.AppendStatus(nil, status)
	for name, values := range w.header {
		if !strings.HasPrefix(name, http.TrailerPrefix) && !ofConnection(name) {
			for _, v := range values {
				b = http2.AppendField(b, name, strings.TrimSpace(v))
			}
		}
	}
	return b
}

// ofConnection tells the fields that HTTP/2 has no use for (RFC 9113, 8.2.2).
func ofConnection(name string) bool {
	return slices.Contains([]string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"}, name)
}

func (w *streamWriter) Write(p []byte) (n int, err error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.bodiless() {
		return len(p), nil
	}
	if w.sent {
		return w.st.Write(p, false)
	}
	w.sent = true
	return w.st.WriteAll(w.block, p, false)
}

func (w *streamWriter) bodiless() bool {
	return w.st.Head.Method == http.MethodHead || w.status == http.StatusNoContent || w.status == http.StatusNotModified
}

// FlushError sends the head if nothing was sent before: all else is on its way.
func (w *streamWriter) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.sent || w.bodiless() {
		return nil
	}
	w.sent = true
	return w.st.WriteHead(w.block, false)
}

// SetWriteDeadline ends the writing when t has come; later times are not kept.
func (w *streamWriter) SetWriteDeadline(t time.Time) error {
	w.st.CutWrite(!t.IsZero() && !t.After(time.Now()))
	return nil
}

// end sends what is left of the answer, and its end.
func (w *streamWriter) end() {
	if w.status == 0 {
		w.header["Content-Length"] = []string{strconv.Itoa(0)}
		w.WriteHeader(http.StatusOK)
	}
	var trailers []byte
	for name, values := range w.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			for _, v := range values {
				trailers = http2.AppendField(trailers, name, strings.TrimSpace(v))
			}
		}
	}
	last := len(trailers) == 0
	switch {
	case !w.sent:
		_ = w.st.WriteHead(w.block, last)
	case last:
		_, _ = w.st.Write(nil, true)
	}
	if !last {
		_ = w.st.WriteHead(trailers, true)
	}
}
