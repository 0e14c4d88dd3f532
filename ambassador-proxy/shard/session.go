package shard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

const batchBytes = 64 << 10 // requests that are collected before they are sent

// protocol splits the client's bytes into commands and sends them on their way.
type protocol interface {
	// command handles the first command of b and returns its length; errMore when b ends too early, n is then how long the
	// command is at least, or 0.
	command(s *session, b []byte) (n int, err error)
	// long begins a command that is larger than b and need not be held whole: the n bytes of b that were sent, and what finds
	// the end of the others. nil when it must be held.
	long(s *session, b []byte) (n int, rest scanner)
	// greeting is what a new connection to a shard must hear before all else: credentials, the database.
	greeting(v *view) (greeting, error)
	// shared tells whether b is one whole command that may go over a connection that clients share, with its key and the shape
	// of its answer.
	shared(b []byte) (key []byte, how share, as shape)
	// said is what the client has said of itself: those who have said the same may share.
	said() string
	// failure is the answer to one command that failed.
	failure(text string) []byte
	// mistake is the answer to what is no command.
	mistake(text string) []byte
}

// scanner passes over the rest of a command; an error is final.
type scanner interface {
	Scan(b []byte) (n int, done bool, err error)
}

// session is one client. One goroutine does everything, batch by batch: it reads the commands that are there, sends each shard
// its part of all of them, relays the answers in the order of the commands, and only then reads on. So a client that does not
// read its answers is not read from, and nothing needs a lock.
//
// No shard can block it by not reading: what a socket does not take at once is sent in the background while answers are read.
type session struct {
	p      *Proxy
	proto  protocol
	client wire
	relay  relay
	ctx    context.Context
	view   *view
	ring   *ring
	now    time.Time
	id     int64

	backends map[*Shard]*backend
	used     []*backend // of the batch
	bytes    int        // of the batch
	slots    []slot
	parts    []part // of the slots
	order    []int  // of the slots
	ending   bool   // no more commands: QUIT or a malformed one
	refused  bool   // the app may still be sending

	takeFn func(uintptr) bool // take, bound once
	state  atomic.Int32       // of the shared command
	wake   chan struct{}      // it is settled
	early  bool               // bytes came before it was
	kept   []byte             // it, if it can be asked again
	room   [maxKept]byte      // of kept
	single int                // commands to come that are not to be shared
	wanted *Shard             // a trunk to it

	at      []int // scratch of split
	shards  []*Shard
	reached []reached
}

// slot is one command's place in the order of answers.
type slot struct {
	text   []byte // an answer of our own; there are no parts then
	answer func(r *relay, t *slot) error
	parts  []part // once the batch is complete
	order  []int  // for joined answers: the part of each key
	part0  int
	order0 int
}

// part is what one shard does of a command.
type part struct {
	*backend
	err  error // why there is no backend
	name string
	keys int
}

// reached is a shard with the connection to it, or why there is none.
type reached struct {
	*backend
	to  *upstream.Endpoint // of the connection that is to be made
	err error
}

func newSession(p *Proxy, c net.Conn) *session {
	s := &session{p: p, ctx: p.ctx, id: p.ids.Add(1), backends: map[*Shard]*backend{}, wake: make(chan struct{}, 1)}
	s.takeFn = s.take
	s.client.init(c, &p.buffers, 0)
	s.relay = relay{s: s, out: writer{wire: &s.client}}
	return s
}

// run answers until the client ends, or must.
func (s *session) run() {
	for want := 0; !s.ending; {
		if want > 0 || len(s.client.unread()) == 0 {
			if s.receive() != nil { // what was asked is answered
				break
			}
		}
		s.now = time.Now()
		s.p.last.Store(s.now.UnixNano())
		if len(s.client.unread()) < want && !s.client.full() {
			continue
		}
		var err error
		if want, err = s.batch(); err != nil {
			break
		}
		if s.wanted != nil {
			s.join(s.wanted)
			s.wanted = nil
		}
	}
	for _, b := range s.backends {
		s.drop(b)
	}
	if s.refused {
		s.linger()
	}
}

func (s *session) drop(b *backend) {
	delete(s.backends, b.shard)
	s.p.sockets.Remove(b.conn)
}

// batch handles the whole commands that are there, and makes room for the rest of the last one. want is how many bytes must
// be there for another try.
func (s *session) batch() (want int, err error) {
	done, want, err := s.commands(s.client.unread())
	s.client.skip(done)
	if err = errors.Join(err, s.flush()); err != nil || want == 0 || s.ending {
		return 0, err
	}
	if !s.client.full() {
		s.client.settle()
		return want, nil
	}
	if n, rest := s.proto.long(s, s.client.unread()); rest != nil {
		return 0, s.stream(n, rest)
	}
	return s.hold(want)
}

// commands queues the whole commands of b. want is how long the incomplete one that follows them is at least, 0 without one.
func (s *session) commands(b []byte) (done, want int, err error) {
	s.view = s.p.view.Load()
	if s.ring, err = s.view.m.Ring(s.ctx); err != nil {
		s.refuse(s.proto.failure(fmt.Sprintf("upstream %s: %s", s.view.m.up.Name(), reason.OfDial(err).Text())))
		return 0, 0, nil
	}
	for done < len(b) && !s.ending {
		n, err := s.proto.command(s, b[done:])
		if err == errMore {
			return done, max(n, 1), nil
		}
		if err != nil {
			s.refuse(s.proto.mistake(err.Error()))
			break
		}
		done += n
		if s.bytes >= batchBytes {
			if err := s.flush(); err != nil {
				return done, 0, err
			}
		}
	}
	return done, 0, nil
}

// refuse answers and ends the session: the next command's beginning is not known.
func (s *session) refuse(text []byte) {
	s.say(text)
	s.ending, s.refused = true, true
}

// say answers a command without a shard.
func (s *session) say(text []byte) {
	s.slots = append(s.slots, slot{text: text, part0: len(s.parts), order0: len(s.order)})
}

// ask gives a command its place in the order of answers, together with the parts that were added since mark.
func (s *session) ask(m mark, answer func(*relay, *slot) error) {
	s.slots = append(s.slots, slot{answer: answer, part0: m.part, order0: m.order})
}

// mark is where a command begins.
type mark struct{ part, order int }

func (s *session) mark() mark { return mark{len(s.parts), len(s.order)} }

// add gives a shard a part of the command, whose bytes the caller adds to the backend; nil when the shard cannot be asked: the
// relay answers for it.
func (s *session) add(shard *Shard, b *backend, err error) *backend {
	if err != nil {
		b = nil
	}
	s.parts = append(s.parts, part{backend: b, err: err, name: shard.name, keys: 1})
	if b == nil {
		return nil
	}
	b.asked++
	b.open++
	shard.requests.Inc()
	return b
}

// put adds a request's bytes to the batch.
func (s *session) put(b *backend, request []byte) {
	if b != nil {
		b.out = append(b.out, request...)
		s.bytes += len(request)
	}
}

// flush sends the batch and answers it. An error is final: the client is gone, or got half an answer and must not take the
// rest for whole.
func (s *session) flush() (err error) {
	if len(s.slots) == 0 && len(s.used) == 0 {
		return nil
	}
	s.p.pending.Add(int64(len(s.slots)))
	s.lay()
	s.push(s.first())
	for i := range s.slots {
		if err = s.relay.one(&s.slots[i]); err != nil {
			break
		}
	}
	if err == nil {
		err = s.relay.out.flush()
	}
	s.p.pending.Add(-int64(len(s.slots)))
	now := time.Now()
	for _, b := range s.used {
		switch {
		case err != nil:
			b.fail(reason.ClientAborted)
		case b.broken.Load(), b.open > 0:
			b.fail(reason.UpstreamReset)
		}
		b.end(now)
	}
	s.p.last.Store(now.UnixNano())
	s.forget()
	if err != nil {
		s.client.conn.Close()
	}
	return err
}

// lay gives the slots their parts: the slices have their final place now.
func (s *session) lay() {
	for i := range s.slots {
		t, part, order := &s.slots[i], len(s.parts), len(s.order)
		if i+1 < len(s.slots) {
			part, order = s.slots[i+1].part0, s.slots[i+1].order0
		}
		t.parts, t.order = s.parts[t.part0:part], s.order[t.order0:order]
	}
}

// first is the shard whose answer is needed first, when nothing comes before it.
func (s *session) first() *backend {
	if len(s.slots) > 0 && len(s.slots[0].parts) > 0 {
		return s.slots[0].parts[0].backend
	}
	return nil
}

// push sends the batch to all its shards; first is sent last, together with the wait for its answer.
func (s *session) push(first *backend) {
	for _, b := range s.used {
		if b != first && len(b.out) > 0 && !b.broken.Load() {
			b.push(b.out)
			b.out = b.out[:0]
		}
	}
	if first != nil && len(first.out) > 0 && !first.broken.Load() {
		first.early = first.wire.ask(first.out)
		first.out = first.out[:0]
	}
	s.bytes = 0
}

// forget makes the batch empty; its slices are used again unless they have grown large.
func (s *session) forget() {
	const most = 4096
	clear(s.slots)
	clear(s.parts)
	clear(s.used)
	s.slots, s.parts, s.used, s.order = s.slots[:0], s.parts[:0], s.used[:0], s.order[:0]
	if cap(s.parts) > most || cap(s.slots) > most || cap(s.order) > most {
		s.slots, s.parts, s.order = nil, nil, nil
	}
}
