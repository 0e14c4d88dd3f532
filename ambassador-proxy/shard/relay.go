package shard

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// relay writes the answers of one client in the order of its commands. Answers pass through fixed buffers: how large they are
// does not matter.
type relay struct {
	s       *session
	out     writer
	refused bool // an answer that was joined was an error
}

func (r *relay) one(t *slot) error {
	if t.answer == nil {
		_, err := r.out.Write(t.text)
		return err
	}
	err := t.answer(r, t)
	for _, p := range t.parts {
		if p.backend != nil {
			p.open--
		}
	}
	return err
}

// Write is for the answers that are passed on. What is complete so far is sent before a wait.
func (r *relay) Write(b []byte) (int, error) { return r.out.Write(b) }

// text is Write without an allocation.
func (r *relay) text(s string) error { return r.out.text(s) }

// ready makes a part's connection ready to be read: nil, or why it is not.
func (r *relay) ready(p *part) error {
	if p.err != nil {
		return p.err
	}
	for len(p.unread()) == 0 {
		if err := p.early; err != nil {
			p.early = nil
			p.fail(because(err))
			return cause(err)
		}
		if p.broken.Load() {
			p.fail(reason.UpstreamReset)
			return errors.New("connection lost before the answer")
		}
		if err := r.await(p.backend); err != nil {
			if !isClient(err) {
				p.fail(because(err))
			}
			return cause(err)
		}
	}
	return nil
}

const soon = 500 * time.Microsecond

// await waits for bytes of a shard. What is there for the app is sent before, unless it can go together with an answer that
// comes soon.
func (r *relay) await(b *backend) error {
	if r.out.out == nil {
		return b.fill()
	}
	if b.raw != nil {
		err := b.fillWithin(soon)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	if err := r.out.flush(); err != nil {
		return &clientError{err}
	}
	return b.fill()
}

// whole relays the reply of a command that went to one shard.
func whole(r *relay, t *slot) error {
	p := &t.parts[0]
	err := r.ready(p)
	if err == nil {
		var begun bool
		if begun, err = p.reply(r); err == nil {
			return nil
		}
		if p.fail(because(err)); begun {
			return fmt.Errorf("shard %s: answer cut short: %w", p.name, err)
		}
	}
	return r.fault(p, err)
}

// fault answers for a shard that did not.
func (r *relay) fault(p *part, err error) error {
	var client *clientError
	if errors.As(err, &client) {
		return err
	}
	_, err = r.Write(r.s.proto.failure(fmt.Sprintf("shard %s: %v", p.name, cause(err))))
	return err
}
