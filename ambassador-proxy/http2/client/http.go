package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
)

// Exchange is a request of net/http on its way: Open a stream with Request, then take the Response.
type Exchange struct {
	Request Request

	r      *http.Request
	stream *Stream
	went   chan struct{} // signalled when the upstream asks for the body, or no more can come of that

	mu   sync.Mutex
	body error // why the request's body did not get to its end
}

// NewExchange makes fields of r (RFC 9113, 8.3.1), less those of an HTTP/1.1 connection.
func NewExchange(r *http.Request, scheme string) *Exchange {
	x := &Exchange{r: r, went: make(chan struct{}, 1)}
	x.Request = Request{
		Fields: fieldsOf(r, scheme), End: r.Body == nil || r.Body == http.NoBody, Head: r.Method == http.MethodHead,
		Event: make(chan struct{}, 1), Room: make(chan struct{}, 1),
	}
	return x
}

func fieldsOf(r *http.Request, scheme string) []hpack.HeaderField {
	all := make([]hpack.HeaderField, 0, 6+len(r.Header))
	add := func(name, value string) { all = append(all, hpack.HeaderField{Name: name, Value: value}) }
	add(":authority", r.Host)
	add(":method", r.Method)
	add(":path", r.URL.RequestURI())
	add(":scheme", scheme)
	for name, values := range r.Header {
		switch name {
		case "Host", "Content-Length", "Connection", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Keep-Alive", "Http2-Settings":
			continue
		}
		for _, v := range values {
			add(strings.ToLower(name), v)
		}
	}
	empty := r.Body == nil || r.Body == http.NoBody
	if n := r.ContentLength; n > 0 || empty && (r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH") {
		add("content-length", strconv.FormatInt(n, 10))
	}
	return all
}

// continueTime is how long a client that wants to be asked for its body waits for that (RFC 9110, 10.1.1).
const continueTime = time.Second

// Response sends the body and waits for the answer. The error is an *Error, that of the context, or the body's.
func (x *Exchange) Response(s *Stream) (*http.Response, error) {
	x.stream = s
	if !x.Request.End {
		go x.send()
	}
	trace := httptrace.ContextClientTrace(x.r.Context())
	for {
		switch e := s.Next(0); {
		case e.Interim != nil:
			if err := x.interim(e.Interim, trace); err != nil {
				s.Cancel(http2.Cancel)
				return nil, err
			}
		case e.Head != nil:
			signal(x.went)
			return x.response(e), nil
		case e.Err != nil:
			signal(x.went)
			return nil, x.failure(e.Err)
		default:
			if err := x.wait(); err != nil {
				s.Cancel(http2.Cancel)
				return nil, err
			}
		}
	}
}

func (x *Exchange) interim(fields []hpack.HeaderField, trace *httptrace.ClientTrace) error {
	code, h := headerOf(fields)
	if code == http.StatusContinue {
		signal(x.went)
	}
	if trace == nil || trace.Got1xxResponse == nil {
		return nil
	}
	return trace.Got1xxResponse(code, textproto.MIMEHeader(h))
}

// wait waits for something to come.
func (x *Exchange) wait() error {
	select {
	case <-x.Request.Event:
		return nil
	case <-x.r.Context().Done():
		return context.Cause(x.r.Context())
	}
}

// failure is the fault of the request's body, if it has one.
func (x *Exchange) failure(err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.body != nil {
		return x.body
	}
	return err
}

func headerOf(fields []hpack.HeaderField) (status int, h http.Header) {
	h = make(http.Header, len(fields))
	values := make([]string, len(fields)) // one allocation for most
	for i, f := range fields {
		if f.Name == ":status" {
			status, _ = strconv.Atoi(f.Value)
			continue
		}
		name := http.CanonicalHeaderKey(f.Name)
		if have := h[name]; have != nil {
			h[name] = append(have, f.Value)
			continue
		}
		values[i] = f.Value
		h[name] = values[i : i+1 : i+1]
	}
	return status, h
}

func (x *Exchange) response(e Event) *http.Response {
	status, h := headerOf(e.Head)
	response := &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status, Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: h, ContentLength: -1, Request: x.r,
	}
	if v := h.Get("Content-Length"); v != "" {
		response.ContentLength, _ = strconv.ParseInt(v, 10, 64) // it was checked
	} else if e.End && len(e.Data) == 0 && !x.Request.Head {
		response.ContentLength = 0
	}
	response.Body = &answer{x: x, event: e, response: response}
	return response
}

// answer is the body of a response.
type answer struct {
	x        *Exchange
	response *http.Response
	event    Event // what is left of it
	taken    int   // bytes of its Data
	err      error
}

func (a *answer) Read(p []byte) (int, error) {
	for a.err == nil {
		if left := a.event.Data[a.taken:]; len(left) > 0 {
			n := copy(p, left)
			a.taken += n
			return n, nil
		}
		switch {
		case a.event.End:
			a.end()
		case a.event.Err != nil:
			a.err = a.x.failure(a.event.Err)
		default:
			a.next()
		}
	}
	return 0, a.err
}

// next waits for what comes next.
func (a *answer) next() {
	for {
		a.event, a.taken = a.x.stream.Next(a.taken), 0
		if a.event.Data != nil || a.event.End || a.event.Err != nil {
			return
		}
		if a.err = a.x.wait(); a.err != nil {
			a.x.stream.Cancel(http2.Cancel)
			return
		}
	}
}

// end of the answer: what is left of the request's body is not wanted (RFC 9113, 8.1).
func (a *answer) end() {
	a.err = io.EOF
	a.x.stream.Next(a.taken)
	if len(a.event.Trailers) > 0 {
		_, a.response.Trailer = headerOf(a.event.Trailers)
	}
	a.event = Event{}
	a.taken = 0
	a.x.stream.Cancel(http2.NoError)
}

var errClosed = errors.New("read of a closed answer")

// Close gives up what is left, and waits for nothing.
func (a *answer) Close() error {
	a.x.stream.Cancel(http2.Cancel)
	if a.err == nil {
		a.err = errClosed
	}
	return nil
}

// send sends the request's body.
func (x *Exchange) send() {
	defer x.r.Body.Close()
	if strings.EqualFold(x.r.Header.Get("Expect"), "100-continue") {
		timer := time.NewTimer(continueTime)
		select {
		case <-x.went:
		case <-timer.C:
		case <-x.r.Context().Done():
		}
		timer.Stop()
	}
	buffer := bodies.Get().(*[bodyBytes]byte)
	defer bodies.Put(buffer)
	left := x.r.ContentLength
	if left == 0 { // not known, as there is a body
		left = -1
	}
	for {
		n, err := x.r.Body.Read(buffer[:])
		if left >= 0 {
			if left -= int64(n); left < 0 || err == io.EOF && left > 0 {
				err = fmt.Errorf("the request's body is not of the %d bytes that it claims", x.r.ContentLength)
			}
		}
		if err != nil && err != io.EOF {
			x.mu.Lock()
			x.body = err
			x.mu.Unlock()
			x.stream.Cancel(http2.Cancel)
			return
		}
		if !x.write(buffer[:n], err == io.EOF) || err == io.EOF {
			return
		}
	}
}

const bodyBytes = 16 << 10

var bodies = sync.Pool{New: func() any { return new([bodyBytes]byte) }}

// write waits for the windows; false when nobody wants the rest.
func (x *Exchange) write(p []byte, end bool) bool {
	for {
		n, wanted := x.stream.offer(p, end)
		if !wanted {
			return false
		}
		if p = p[n:]; len(p) == 0 {
			return true
		}
		select {
		case <-x.Request.Room:
		case <-x.r.Context().Done():
			return false
		}
	}
}
