package shard

import (
	"bytes"
	"errors"
	"net"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// usable is the connection to a shard, if there is one that works.
func (s *session) usable(shard *Shard) *backend {
	b := s.backends[shard]
	if b == nil {
		return nil
	}
	if !b.broken.Load() && (b.claimed || b.endpoint == shard.endpoint.Load() && !b.stale(s.now)) {
		return b
	}
	s.drop(b)
	return nil
}

// reach is a working connection to a shard, a new one when there is none. Because connecting takes time, the batch so far is
// sent and answered before: call it before a command has any part.
func (s *session) reach(shard *Shard) (*backend, error) {
	if b := s.usable(shard); b != nil {
		return b, s.claim(b)
	}
	e, err := shard.admit(s.now)
	if err != nil {
		return nil, err
	}
	if err := s.flush(); err != nil {
		e.Unclaim()
		return nil, err
	}
	return s.connect(shard, e)
}

// reachAll is reach for the shards of one command; the results are in s.reached.
func (s *session) reachAll(shards []*Shard) {
	s.reached = s.reached[:0]
	missing := false
	for _, shard := range shards {
		var r reached
		if s.usable(shard) == nil {
			r.to, r.err = shard.admit(s.now)
			missing = missing || r.err == nil
		}
		s.reached = append(s.reached, r)
	}
	if missing {
		_ = s.flush() // its error comes again
	}
	for i, shard := range shards {
		switch r := &s.reached[i]; {
		case r.err != nil:
		case r.to != nil:
			r.backend, r.err = s.connect(shard, r.to)
		default:
			if r.backend = s.backends[shard]; r.backend == nil {
				r.err = net.ErrClosed // the flush has lost it
			} else {
				r.err = s.claim(r.backend)
			}
		}
	}
}

// claim takes a connection into the batch.
func (s *session) claim(b *backend) error {
	if b.claimed {
		return nil
	}
	if err := b.claim(s.now); err != nil {
		return err
	}
	s.used = append(s.used, b)
	return nil
}

// connect dials a shard that has admitted the batch.
func (s *session) connect(shard *Shard, e *upstream.Endpoint) (*backend, error) {
	g, err := s.proto.greeting(s.view)
	if err != nil {
		e.Unclaim()
		return nil, err
	}
	b, err := s.p.open(shard, e, g)
	if err != nil {
		if why := reason.OfDial(err); why.Client() {
			e.Unclaim()
		} else {
			shard.unreachable(e, why, err.Error())
		}
		return nil, err
	}
	b.begin(s.now)
	s.used = append(s.used, b)
	s.backends[shard] = b
	return b, nil
}

// open makes a connection to a shard that has heard the greeting. The error has its reason and reads well; that of a shard
// that does not like what the client has said of itself blames the client.
func (p *Proxy) open(shard *Shard, e *upstream.Endpoint, g greeting) (*backend, error) {
	c, err := e.Dial(p.ctx)
	if err != nil {
		why := reason.OfDial(err)
		return nil, &reason.Error{Reason: why, Err: errors.New(why.Text())}
	}
	if !p.sockets.Add(c) {
		return nil, &reason.Error{Reason: reason.ClientAborted, Err: net.ErrClosed}
	}
	b := &backend{shard: shard, endpoint: e}
	b.init(c, &p.buffers, p.timeout)
	if err := g.say(b); err != nil {
		b.release()
		p.sockets.Remove(c)
		return nil, err
	}
	return b, nil
}

// greeting is what a new connection must hear before all else. The zero value is none.
type greeting struct {
	request []byte
	answers int
	ours    int // of the answers, the first ones: to the credentials of the ambassador, not of the client
}

const greetingTimeout = 5 * time.Second

func (g greeting) say(b *backend) error {
	if g.answers == 0 {
		return nil
	}
	usual := b.timeout
	b.timeout = min(usual, greetingTimeout)
	defer func() { b.timeout, b.until = usual, time.Time{} }()
	b.push(g.request)
	b.wait()
	for i := range g.answers {
		err := accepted(b)
		refused, ok := errors.AsType[*refusedError](err)
		switch {
		case err == nil:
			continue
		case !ok:
			return &reason.Error{Reason: because(err), Err: cause(err)}
		case i < g.ours:
			return &reason.Error{Reason: reason.UpstreamAuthFailed, Err: refused}
		}
		return &reason.Error{Reason: reason.ClientBadRequest, Err: refused}
	}
	return nil
}

// refusedError is an error in a reply.
type refusedError struct{ error }

// accepted reads a reply that must not be an error.
func accepted(b *backend) error {
	mark, err := b.peek()
	if err != nil {
		return err
	}
	if mark != '-' {
		_, err := b.reply(nil)
		return err
	}
	line, err := b.line()
	if err != nil {
		return err
	}
	return &refusedError{errors.New(string(bytes.TrimRight(line[1:], "\r\n")))}
}
