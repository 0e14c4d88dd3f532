package shard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// backend is one client's connection to one shard. Answers come in the order of the requests.
type backend struct {
	wire
	request
	shard    *Shard
	endpoint *upstream.Endpoint

	last    time.Time // it was used
	begun   time.Time // the batch
	claimed bool      // the batch counts at the endpoint
	asked   int       // requests of the batch
	open    int       // those without their answer
	failure reason.Reason
	early   error // of the read that went together with sending
}

// fail closes the connection; what is still to be answered on it gets an error. Of several reasons the first counts.
func (b *backend) fail(why reason.Reason) {
	if b.failure == reason.OK {
		b.failure = why
		b.shard.failed(b.open, why)
	}
	b.broken.Store(true)
	b.conn.Close()
}

const freshFor = 20 * time.Millisecond // after an answer no server closes at once

// stale tells whether the server has closed the idle connection, so that a request never finds out the hard way.
func (b *backend) stale(now time.Time) bool { return now.Sub(b.last) >= freshFor && b.closed() }

// claim counts the batch at the endpoint, unless the shard is out.
func (b *backend) claim(now time.Time) error {
	if err := b.shard.claim(b.endpoint, now); err != nil {
		return err
	}
	b.begin(now)
	return nil
}

func (b *backend) begin(now time.Time) {
	b.claimed, b.begun, b.last, b.asked, b.open, b.failure, b.early = true, now, now, 0, 0, reason.OK, nil
	b.request.open(b.buffers)
}

// end tells the endpoint how the batch went.
func (b *backend) end(now time.Time) {
	b.wait()
	b.request.close(b.buffers)
	b.skip(0) // what is read is handled: no buffer is held
	if !b.claimed {
		return
	}
	b.claimed = false
	if b.asked == 0 && b.failure == reason.OK {
		b.endpoint.Unclaim()
		return
	}
	o := layer7.Outcome{Reason: b.failure, Latency: now.Sub(b.begun)}
	if o.Reason == reason.OK {
		o.Status = 200
	}
	b.endpoint.Report(o)
	if b.asked > 1 {
		b.shard.attempts[o.Reason].Add(int64(b.asked - 1))
	}
}

// peek waits for the first byte of an answer.
func (b *backend) peek() (byte, error) {
	for len(b.unread()) == 0 {
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	return b.unread()[0], nil
}

// line reads up to LF, which is included; CR LF must end it. It is valid until the next read.
func (b *backend) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(b.unread(), '\n'); i >= 0 {
			l := b.unread()[:i+1]
			b.from += i + 1 // the buffer is kept for l
			if i < 1 || l[i-1] != '\r' {
				return nil, errors.New("a line of the answer does not end with CR LF")
			}
			return l, nil
		}
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
}

// reply relays one reply of the Redis protocol to w as it comes; w nil drops it. begun tells whether bytes were passed on.
func (b *backend) reply(w io.Writer) (begun bool, err error) {
	var r Reply
	for {
		n, done, err := r.Scan(b.unread())
		if err != nil {
			return begun, &malformed{err}
		}
		if n > 0 && w != nil {
			begun = true
			if _, err := w.Write(b.unread()[:n]); err != nil {
				return begun, &clientError{err}
			}
		}
		b.skip(n)
		if done {
			return begun, nil
		}
		if err := b.fill(); err != nil {
			return begun, err
		}
	}
}

// clientError is a failure to write to the app: no shard is to blame.
type clientError struct{ error }

// malformed is an answer that breaks the protocol.
type malformed struct{ error }

func (m *malformed) Error() string { return fmt.Sprintf("malformed answer: %v", m.error) }

// cause is a network error in plain words.
func cause(err error) error {
	if alert := alertOf(err); alert != "" {
		return errors.New("the shard ended TLS: " + alert)
	}
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer in time")
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.As(err, &timeout):
		return errors.New("connection lost before the answer")
	}
	return err
}

// alertOf is what the other side of TLS has said at the end: version 1.3 refuses a client's certificate after the handshake.
func alertOf(err error) string {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" { // as crypto/tls writes it
		return strings.TrimPrefix(e.Err.Error(), "tls: ")
	}
	return ""
}

// because is the reason to count for an error of a connection to a shard.
func because(err error) reason.Reason {
	if _, ok := errors.AsType[*clientError](err); ok {
		return reason.ClientAborted
	}
	if _, ok := errors.AsType[*malformed](err); ok {
		return reason.UpstreamBadResponse
	}
	if alertOf(err) != "" {
		return reason.TLSHandshakeFailed
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return reason.UpstreamTimeoutHeaders
	}
	return reason.UpstreamReset
}
