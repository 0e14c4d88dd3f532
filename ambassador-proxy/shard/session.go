package shard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

const (
	requestBuffer = 16 << 10
	batchBytes    = 64 << 10 // requests that are collected before they are sent
	batchSlots    = 512      // commands of a client that wait for an answer
)

// protocol splits the client's bytes into commands and sends them on their way.
type protocol interface {
	// command handles the first command of b and returns its length; errMore when b ends too early.
	command(s *session, b []byte) (n int, err error)
	// hello prepares a new connection to a shard: credentials, the database.
	hello(s *session, b *backend) error
	// failure is the answer to one command that failed.
	failure(text string) []byte
}

// session is one client. Its own goroutine reads commands in batches and writes them to the shards; a second one, the
// relay, reads the answers in the order of the commands. Both are bounded: a client that does not read its answers is not
// read from.
//
// They cannot block each other for good: the batch is sent to all its shards at once before the session waits for anything,
// so the relay never waits for a request that was not sent.
type session struct {
	p      *Proxy
	proto  protocol
	client net.Conn
	ctx    context.Context
	view   *view
	ring   *ring
	now    time.Time
	id     int64

	backends map[*Shard]*backend
	dirty    []*backend
	batch    int // bytes
	slots    []*slot
	queue    chan *slot
	ending   bool // no more commands: QUIT or a malformed one
	dead     atomic.Bool
}

// slot is one command's place in the order of answers.
type slot struct {
	text   []byte // an answer of our own; parts then is empty
	parts  []part
	order  []int // for joined answers: the part of each key
	answer func(r *relay, t *slot) error
}

// part is what one shard does of a command.
type part struct {
	*backend
	err  error // why there is no backend
	name string
	keys int
}

func (s *session) run() {
	s.queue = make(chan *slot, batchSlots)
	var relaying sync.WaitGroup
	relaying.Go(func() { (&relay{s: s}).run() })
	err := s.read()
	s.flush()
	close(s.queue)
	if err != nil { // the client is gone, or we are closing: nobody waits for answers
		s.abandon()
	}
	relaying.Wait()
	for _, b := range s.backends {
		s.p.untrack(b.conn)
	}
}

// abandon ends what the relay is waiting for, unless the client has only ended its own direction.
func (s *session) abandon() {
	s.dead.Store(true)
	for _, b := range s.backends {
		b.fail()
	}
}

// read handles commands until the client ends. A clean end is nil: what was asked is answered.
func (s *session) read() error {
	buf := make([]byte, 0, requestBuffer)
	for {
		if len(buf) == cap(buf) {
			if cap(buf) >= s.p.maxCommand {
				s.refuse(fmt.Sprintf("a command is larger than %d bytes (max_body)", s.p.maxCommand))
				return nil
			}
			buf = slices.Grow(buf, min(cap(buf), s.p.maxCommand-cap(buf)))
		}
		n, err := s.client.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		s.now = time.Now()
		s.p.last.Store(s.now.UnixNano())
		done, err := s.commands(buf)
		s.flush()
		if err != nil {
			return err
		}
		if s.ending || s.dead.Load() {
			return nil
		}
		buf = buf[:copy(buf, buf[done:])]
		if cap(buf) > batchBytes && len(buf) < requestBuffer {
			buf = append(make([]byte, 0, requestBuffer), buf...)
		}
	}
}

// commands handles the whole commands of b.
func (s *session) commands(b []byte) (done int, err error) {
	s.view = s.p.view.Load()
	if s.ring, err = s.view.m.Ring(s.ctx); err != nil {
		s.say(s.proto.failure(fmt.Sprintf("upstream %s: %s", s.view.m.up.Name(), reason.OfDial(err).Text())))
		s.ending = true
		return done, nil
	}
	for done < len(b) && !s.ending {
		n, err := s.proto.command(s, b[done:])
		if err == errMore {
			return done, nil
		}
		if err != nil {
			s.refuse("Protocol error: " + err.Error())
			return done, nil
		}
		done += n
		if s.batch >= batchBytes || len(s.slots) >= batchSlots/2 {
			s.flush()
		}
	}
	return done, nil
}

// refuse answers and ends the session: the next command's beginning is not known.
func (s *session) refuse(text string) {
	s.say(s.proto.failure(text))
	s.flush()
	s.ending = true
}

// say answers a command without a shard.
func (s *session) say(text []byte) { s.slots = append(s.slots, &slot{text: text}) }

// ask gives a command whose parts are all there its place in the order.
func (s *session) ask(t *slot, answer func(*relay, *slot) error) {
	t.answer = answer
	s.slots = append(s.slots, t)
}

// to adds a part for a shard and returns its connection, for put; nil when the shard cannot be reached: the relay then
// answers for it.
func (s *session) to(t *slot, shard *Shard) *backend {
	b, err := s.backend(shard)
	t.parts = append(t.parts, part{backend: b, err: err, name: shard.name, keys: 1})
	if err != nil {
		return nil
	}
	if len(b.out) == 0 {
		s.dirty = append(s.dirty, b)
	}
	b.open.Add(1)
	b.last = s.now
	shard.requests.Inc()
	return b
}

// put adds a request's bytes to the batch.
func (s *session) put(b *backend, request ...[]byte) {
	if b == nil {
		return
	}
	for _, r := range request {
		b.out = append(b.out, r...)
		s.batch += len(r)
	}
}

// backend is the connection to a shard, a new one when there is none that works.
func (s *session) backend(shard *Shard) (*backend, error) {
	if b := s.backends[shard]; b != nil {
		if !b.broken.Load() && (len(b.out) > 0 || !b.stale(s.now)) {
			return b, nil
		}
		b.fail()
		s.p.untrack(b.conn)
		delete(s.backends, shard)
		s.dirty = slices.DeleteFunc(s.dirty, func(d *backend) bool { return d == b })
	}
	if time.Now().UnixNano() >= shard.downTill.Load() {
		s.flush() // connecting takes time: nobody else waits for it
	}
	c, err := shard.dial(s.ctx)
	if err != nil {
		return nil, err
	}
	if !s.p.track(c) {
		return nil, net.ErrClosed
	}
	b := newBackend(shard, c, s.p.timeout)
	if err := s.proto.hello(s, b); err != nil {
		s.p.untrack(c)
		shard.down(err)
		return nil, err
	}
	s.backends[shard] = b
	return b, nil
}

// flush queues the places of the batch for the relay, then sends the batch to all its shards at once. The queue always has
// room for a whole batch once the relay is done with the batches before, which were sent.
func (s *session) flush() {
	s.enqueue()
	if len(s.dirty) == 1 {
		s.dirty[0].send()
	} else {
		var writing sync.WaitGroup
		for _, b := range s.dirty {
			writing.Go(b.send)
		}
		writing.Wait()
	}
	s.dirty, s.batch = s.dirty[:0], 0
}

func (s *session) enqueue() {
	s.p.pending.Add(int64(len(s.slots)))
	for _, t := range s.slots {
		s.queue <- t
	}
	clear(s.slots)
	s.slots = s.slots[:0]
}

func (b *backend) send() {
	_ = b.conn.SetWriteDeadline(time.Now().Add(b.timeout))
	if _, err := b.conn.Write(b.out); err != nil {
		b.fail()
	}
	if b.out = b.out[:0]; cap(b.out) > 2*batchBytes {
		b.out = nil
	}
}
