package shard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
)

const answerBuffer = 16 << 10

// relay writes the answers of one client in the order of its commands. Answers pass through a fixed buffer: how large they
// are does not matter.
type relay struct {
	s   *session
	out *bufio.Writer
}

func (r *relay) run() {
	r.out = bufio.NewWriterSize(r.s.client, answerBuffer)
	for t := range r.s.queue {
		if r.s.dead.Load() {
			r.s.p.pending.Add(-1)
			continue // the session still fills the queue
		}
		err := r.one(t)
		if err == nil && len(r.s.queue) == 0 {
			err = r.out.Flush()
		}
		r.s.p.pending.Add(-1)
		if err != nil { // the client is gone, or got half an answer: it must not take the rest for whole
			r.s.dead.Store(true)
			r.s.client.Close()
		}
	}
	if !r.s.dead.Load() {
		_ = r.out.Flush()
	}
}

func (r *relay) one(t *slot) error {
	if t.answer == nil {
		_, err := r.out.Write(t.text)
		return err
	}
	err := t.answer(r, t)
	for _, p := range t.parts {
		if p.backend != nil {
			p.open.Add(-1)
		}
	}
	return err
}

// Write is for the answers that are passed on. What is complete so far is sent before a wait.
func (r *relay) Write(b []byte) (int, error) { return r.out.Write(b) }

// ready makes a part's connection ready to be read: nil, or why it is not.
func (r *relay) ready(p *part) error {
	if p.backend == nil {
		return p.err
	}
	if p.broken.Load() {
		return errors.New("connection lost before the answer")
	}
	if len(p.unread()) == 0 {
		if err := r.out.Flush(); err != nil {
			return &clientError{err}
		}
		if _, err := p.peek(); err != nil {
			p.fail()
			return cause(err)
		}
	}
	return nil
}

// cause is a network error in plain words.
func cause(err error) error {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer in time")
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.As(err, &timeout):
		return errors.New("connection lost before the answer")
	}
	return err
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
		if p.fail(); begun {
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
