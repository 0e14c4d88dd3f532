package shard

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// hold makes room for a command of at least want bytes that must be there as a whole.
func (s *session) hold(want int) (int, error) {
	have := len(s.client.unread())
	if want = max(want, have+1); want > s.p.held {
		s.refuse(s.proto.failure(fmt.Sprintf("a command is larger than %d bytes (max_body)", s.p.held)))
		return 0, s.flush()
	}
	s.client.grow(want - have)
	return want, nil
}

// stream passes on a command that is larger than the buffer, of which n bytes were sent.
func (s *session) stream(n int, rest scanner) error {
	s.p.pending.Add(1)
	defer s.p.pending.Add(-1)
	var to *backend
	if t := &s.slots[len(s.slots)-1]; len(s.parts) > t.part0 {
		to = s.parts[len(s.parts)-1].backend
	}
	s.client.skip(n)
	if to != nil {
		s.push(nil)
		to.wait()
	}
	for total, done := n, false; !done; {
		var err error
		if n, done, err = rest.Scan(s.client.unread()); err == nil && s.p.most > 0 && total+n > s.p.most {
			err = fmt.Errorf("a command is larger than %d bytes (max_body)", s.p.most)
		}
		if err != nil {
			if to != nil {
				to.fail(reason.ClientBadRequest)
			}
			s.slots = s.slots[:len(s.slots)-1] // its part ends with the connection
			s.refuse(s.proto.mistake(err.Error()))
			return s.flush()
		}
		if to != nil && !to.broken.Load() && n > 0 {
			to.pass(s.client.unread()[:n])
		}
		s.client.skip(n)
		total += n
		if !done {
			if err := s.client.fill(); err != nil {
				if to != nil {
					to.fail(reason.ClientAborted)
				}
				return errors.Join(err, s.flush())
			}
		}
	}
	return s.flush()
}

// pass sends a piece of a long command.
func (b *backend) pass(p []byte) {
	_ = b.conn.SetWriteDeadline(time.Now().Add(b.timeout))
	if err := b.send(p); err != nil {
		b.broken.Store(true)
	}
	_ = b.conn.SetWriteDeadline(time.Time{})
}

const lingerFor = time.Second

// linger lets the app read why it was refused: a connection that is closed with bytes unread is reset, and that overtakes the
// answer.
func (s *session) linger() {
	c, ok := s.client.conn.(interface{ CloseWrite() error })
	if !ok || c.CloseWrite() != nil {
		return
	}
	_ = s.client.conn.SetReadDeadline(time.Now().Add(lingerFor))
	var b buffer
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{s.client.conn}, b[:])
}
