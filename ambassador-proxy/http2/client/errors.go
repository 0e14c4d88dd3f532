package client

import (
	"errors"
	"fmt"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// Error is why a stream has ended without a whole answer.
type Error struct {
	Safe   bool // the upstream has not looked at the request: it may be sent again, whatever its method
	Reason reason.Reason
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap is a *reason.Error.
func (e *Error) Unwrap() error { return &reason.Error{Reason: e.Reason, Err: e.Err} }

var (
	errRetired = errors.New("HTTP/2: the connection has done its work")
	errDead    = errors.New("HTTP/2: no answer to a PING")
)

// errCanceled is of streams that were given up on this side.
var errCanceled = Error{Reason: reason.ClientAborted, Err: errors.New("HTTP/2: the request was given up")}

// codeOf says what to tell the peer of the connection's end.
func codeOf(why error) http2.Code {
	if e, ok := errors.AsType[*http2.Error](why); ok {
		return e.Code
	}
	return http2.NoError
}

// lost says what the end of the connection means for a stream: nothing reached the upstream when its head was not written.
func (c *Conn) lost(s *Stream) *Error {
	e := &Error{Safe: s.at >= c.written, Reason: reason.UpstreamReset, Err: c.err}
	if _, ok := errors.AsType[*http2.Error](c.err); ok {
		e.Reason = reason.UpstreamBadResponse
	} else if c.goAway != nil {
		e.Err = c.goAway
	}
	return e
}

func resetBy(code http2.Code) *Error {
	return &Error{Safe: code == http2.RefusedStream, Reason: reason.UpstreamReset, Err: fmt.Errorf("HTTP/2: the upstream reset the stream: %s", code)}
}

func malformed(why *http2.Error) *Error {
	return &Error{Reason: reason.UpstreamBadResponse, Err: why}
}

// unprocessed is of streams beyond the last that a GOAWAY promises to answer (RFC 9113, 6.8).
func unprocessed(why error) *Error {
	return &Error{Safe: true, Reason: reason.UpstreamReset, Err: why}
}

const maxDebug = 100 // bytes of what the upstream says

func goneAway(code http2.Code, debug []byte) error {
	if code == http2.NoError {
		return errors.New("HTTP/2: the upstream took its leave")
	}
	return fmt.Errorf("HTTP/2: the upstream ended the connection: %s %q", code, debug[:min(len(debug), maxDebug)])
}
