package shard

import (
	"net"

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
	c, err := shard.dial(s.ctx, e)
	if err != nil {
		return nil, err
	}
	b := &backend{shard: shard, endpoint: e}
	b.init(c, &s.p.buffers, s.p.timeout)
	b.begin(s.now)
	s.used = append(s.used, b)
	if !s.p.sockets.Add(c) {
		b.fail(reason.ClientAborted)
		return nil, net.ErrClosed
	}
	s.backends[shard] = b
	if refused, err := s.proto.hello(s, b); err != nil {
		if !refused {
			b.failure = reason.OK // said by Unreachable
			b.claimed = false
			shard.unreachable(e, because(err), cause(err).Error())
		}
		b.request.close(b.buffers)
		s.drop(b)
		return nil, err
	}
	return b, nil
}
