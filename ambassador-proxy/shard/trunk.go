package shard

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// trunk is a connection to one shard that many clients share, as in twemproxy: their commands leave together in one system
// call, and the answers, which come in the order of the commands, go to each client as they are found. Only single commands go
// over it whose answer holds up nobody: what is large is dropped, and asked for again on a connection of the client's own.
type trunk struct {
	backend      // read by run alone
	p            *Proxy
	key          string // what its clients have said of themselves
	flushLater   func() // flush, bound once
	sending      sync.Mutex
	writableTill time.Time // the deadline that is set; guarded by sending
	due          []ticket  // taken from asked by run alone
	at           int       // of due

	mu        sync.Mutex
	out       []byte // commands that wait to be sent
	spare     []byte
	asked     []ticket
	waiting   int       // commands without their answer
	idle      time.Time // since when there is none
	scheduled bool
	closed    bool // takes no more
}

// ticket is one command's place in the order of answers.
type ticket struct {
	s     *session
	begun time.Time
	shape shape
}

const (
	sharedBytes = 64 << 10    // of the largest answer that is held
	idleTrunk   = time.Minute // without a command, at least
)

func newTrunk(p *Proxy, key string, b *backend) *trunk {
	t := &trunk{p: p, key: key}
	t.shard, t.endpoint, t.idle = b.shard, b.endpoint, time.Now()
	t.init(b.conn, b.buffers, b.timeout)
	t.flushLater = t.flush
	return t
}

// ask puts a command in line, and does not wait. It is false when the trunk takes no more.
func (t *trunk) ask(s *session, request []byte, as shape) bool {
	t.mu.Lock()
	if t.closed || len(t.out) > batchBytes || !t.endpoint.Claim(s.now) {
		t.mu.Unlock()
		return false
	}
	t.out = append(t.out, request...)
	t.asked = append(t.asked, ticket{s, s.now, as})
	t.waiting++
	first := !t.scheduled
	t.scheduled = true
	t.mu.Unlock()
	t.shard.requests.Inc()
	if first {
		t.p.running.Add(1)
		go t.flushLater()
	}
	return true
}

// flush sends what waits, once the goroutines that were ready to run have added theirs.
func (t *trunk) flush() {
	defer t.p.running.Done()
	runtime.Gosched()
	t.sending.Lock()
	defer t.sending.Unlock()
	t.mu.Lock()
	b := t.out
	t.out, t.spare, t.scheduled = t.spare[:0], nil, false
	t.mu.Unlock()
	if now := time.Now(); t.writableTill.Sub(now) < t.timeout {
		t.writableTill = now.Add(t.timeout + t.timeout/4)
		_ = t.conn.SetWriteDeadline(t.writableTill)
	}
	if t.send(b) != nil {
		t.conn.Close() // run tells those who wait
	}
	t.mu.Lock()
	t.spare = b
	t.mu.Unlock()
}

// run hands out the answers until the connection ends.
func (t *trunk) run() {
	var err error
	for err == nil {
		if err = t.await(); err == nil {
			err = t.answers()
		}
	}
	t.end(err)
}

// await waits for bytes: as long as nobody waits for them, or else for the timeout.
func (t *trunk) await() error {
	err := t.fill()
	for err != nil && because(err) == reason.UpstreamTimeoutHeaders {
		until := t.patience()
		if !time.Now().Before(until) {
			return err
		}
		_ = t.conn.SetReadDeadline(until)
		t.until = until
		err = t.read()
	}
	return err
}

// patience is when the time of the oldest command is up, or that of the trunk.
func (t *trunk) patience() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.at < len(t.due):
		return t.due[t.at].begun.Add(t.timeout)
	case len(t.asked) > 0:
		return t.asked[0].begun.Add(t.timeout)
	}
	return t.idle.Add(max(t.timeout, idleTrunk))
}

// answers hands out those that are there.
func (t *trunk) answers() error {
	n, now := 0, time.Now()
	begun := now
	var err error
	for err == nil && len(t.unread()) > 0 {
		k := t.next()
		if k == nil {
			err = &malformed{errors.New("nobody has asked for it")}
			break
		}
		var more bool
		if more, err = t.answer(k, now); more || err != nil {
			break
		}
		if n++; n == 1 {
			begun = k.begun
		}
		*k = ticket{}
		t.at++
	}
	if ended := t.answered(n, begun, now); err == nil {
		err = ended
	}
	return err
}

// answer hands out the first answer, unless more of it must be read.
func (t *trunk) answer(k *ticket, now time.Time) (more bool, err error) {
	n, err := k.shape.end(t.unread())
	switch {
	case err == nil:
		k.s.deliver(t.unread()[:n], now)
		t.skip(n)
	case err != errMore:
		return false, &malformed{err}
	case !t.full():
		t.settle()
		return true, nil
	case len(t.b) < sharedBytes:
		t.grow(len(t.b))
		return true, nil
	default:
		return false, t.pass(k)
	}
	return false, nil
}

// next is who gets the next answer; nil: nobody waits for one.
func (t *trunk) next() *ticket {
	if t.at == len(t.due) {
		t.mu.Lock()
		t.due, t.asked, t.at = t.asked, t.due[:0], 0
		t.mu.Unlock()
	}
	if t.at == len(t.due) {
		return nil
	}
	return &t.due[t.at]
}

// pass drops an answer that is too large to be held; the client asks again by itself.
func (t *trunk) pass(k *ticket) error {
	if k.s.kept == nil {
		return &malformed{errors.New("longer than this command's can be")}
	}
	if err := k.shape.drop(&t.backend); err != nil {
		return err
	}
	t.p.running.Go(k.s.again)
	return nil
}

// answered counts n answers. An error ends the trunk.
func (t *trunk) answered(n int, begun, now time.Time) error {
	if n > 0 {
		t.endpoint.ReportMany(n, layer7.Outcome{Status: 200, Latency: now.Sub(begun), At: now})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting -= n; t.waiting == 0 {
		t.idle = now
		if t.closed {
			return net.ErrClosed
		}
	}
	return nil
}

// retire lets nobody ask any more; what is asked is answered.
func (t *trunk) retire() {
	t.mu.Lock()
	t.closed = true
	unused := t.waiting == 0
	t.mu.Unlock()
	if unused {
		t.conn.Close()
	}
}

// end tells all who wait why there will be no answer.
func (t *trunk) end(err error) {
	t.shard.forget(t)
	t.mu.Lock()
	t.closed = true
	lost := append(t.due[t.at:], t.asked...)
	n := t.waiting // some may have their answer, but are not counted
	t.mu.Unlock()
	t.p.sockets.Remove(t.conn)
	t.release()
	if n == 0 {
		return
	}
	why := because(err)
	t.shard.failed(len(lost), why)
	t.endpoint.ReportMany(n, layer7.Outcome{Reason: why})
	text := fmt.Sprintf("shard %s: %v", t.shard.name, cause(err))
	now := time.Now()
	for _, k := range lost {
		k.s.deliver(k.s.proto.failure(text), now)
	}
}

// shape is how the end of an answer is found.
type shape uint8

const (
	replyShape  shape = iota // Redis
	lineShape                // memcached: one line
	valuesShape              // memcached: values up to END
)

// end is the length of the answer at the beginning of b; errMore when b ends before it.
func (k shape) end(b []byte) (n int, err error) {
	if k == replyShape {
		var r Reply
		n, done, err := r.Scan(b)
		if err == nil && !done {
			err = errMore
		}
		return n, err
	}
	for {
		l, size, err := textEnd(b[n:])
		if n += size; err != nil || k == lineShape || l == leadEnd || l.failed() {
			return n, err
		}
		if l != leadValue {
			return n, errors.New("no value")
		}
	}
}

// drop reads the answer to its end.
func (k shape) drop(b *backend) error {
	if k == replyShape {
		_, err := b.reply(nil)
		return err
	}
	for {
		l, _, err := b.text(nil, nil)
		if err != nil || k == lineShape || l == leadEnd || l.failed() {
			return err
		}
	}
}
