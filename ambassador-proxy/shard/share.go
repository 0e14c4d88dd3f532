package shard

import (
	"bytes"
	"maps"
	"slices"
	"time"
)

const (
	fewClients = 4    // have connections of their own: nothing could leave together
	maxTrunks  = 16   // of one shard: what clients say of themselves may differ without end
	maxKept    = 256  // bytes of a command that may have to be sent again
	onItsOwn   = 1000 // commands of a client after one with a large answer
)

// Where a client's shared command stands: session.state.
const (
	settled int32 = iota
	flying        // its answer is to come
	awaited       // and the session waits for it, to go on
)

// receive waits for the client's next bytes. A single command that may be shared is sent from within: its answer is written by
// the trunk's goroutine, and this one just goes on waiting for bytes, with no system call in between.
func (s *session) receive() error {
	if s.client.raw == nil || len(s.client.unread()) > 0 {
		return s.client.fill()
	}
	for {
		s.early = false
		err := s.client.raw.Read(s.takeFn)
		if s.state.CompareAndSwap(flying, awaited) {
			<-s.wake
		}
		if err != nil {
			return err
		}
		if !s.early || !s.share() {
			return s.client.result()
		}
	}
}

// take runs inside RawConn's Read; nothing in it may wait.
func (s *session) take(fd uintptr) bool { return s.client.rawRead(fd) && !s.share() }

// share sends what was read over the trunk of its shard. It is false when that must not be, or there is none yet.
func (s *session) share() bool {
	w := &s.client
	if w.rerr != 0 || w.got == 0 || s.p.clients.Load() <= fewClients {
		return false
	}
	if s.state.Load() != settled {
		s.early = true
		return false
	}
	b := w.b[:w.got]
	key, how, as := s.proto.shared(b)
	if how == alone || how == reads && len(b) > maxKept {
		return false
	}
	if s.single > 0 {
		s.single--
		return false
	}
	v := s.p.view.Load()
	ring := v.m.current()
	if ring == nil {
		return false
	}
	shard := v.m.of(ring, key)
	t := shard.trunkOf(s.proto.said())
	if t == nil {
		s.wanted = shard
		return false
	}
	s.now = time.Now()
	if s.kept = nil; how == reads {
		s.kept = append(s.room[:0], b...)
	}
	s.p.pending.Add(1)
	s.state.Store(flying)
	if !t.ask(s, b, as) {
		s.state.Store(settled)
		s.p.pending.Add(-1)
		return false
	}
	w.release()
	return true
}

// deliver writes the answer to the shared command. It does not wait: what the client's socket does not take is sent in the
// background.
func (s *session) deliver(answer []byte, now time.Time) {
	w := &s.client
	w.src, w.werr = answer, 0
	if err := w.raw.Write(w.pushFn); err == nil && w.werr == 0 && len(w.src) > 0 {
		rest := bytes.Clone(w.src)
		s.p.running.Go(func() {
			_ = w.send(rest) // a client that has gone is noticed where it is read
			s.settle(time.Now())
		})
		return
	}
	s.settle(now)
}

// settle ends the flight of the shared command.
func (s *session) settle(now time.Time) {
	s.p.last.Store(now.UnixNano())
	s.p.pending.Add(-1)
	if s.state.Swap(settled) == awaited {
		s.wake <- struct{}{}
	}
}

// again asks for a large answer over connections of the client's own, in place of the session's goroutine, which waits.
func (s *session) again() {
	s.single = onItsOwn
	s.now = time.Now()
	_, _, err := s.commands(s.kept)
	if flushed := s.flush(); err != nil || flushed != nil || s.ending {
		s.client.conn.Close()
	}
	s.settle(time.Now())
}

// trunkOf is the shard's trunk for clients that have said the same of themselves; nil when there is none to be used now.
func (s *Shard) trunkOf(key string) *trunk {
	s.mu.Lock()
	t := s.trunks[key]
	s.mu.Unlock()
	if t != nil && t.endpoint != s.endpoint.Load() {
		s.forget(t)
		t.retire()
		return nil
	}
	return t
}

// join makes a trunk in the background; until it is there, clients use their own connections.
func (s *session) join(shard *Shard) {
	key := s.proto.said()
	g, err := s.proto.greeting(s.view)
	e := shard.endpoint.Load()
	if err != nil || e == nil || !shard.reserve(key, s.now) {
		return
	}
	s.p.running.Go(func() {
		b, err := s.p.open(shard, e, g)
		if err != nil { // said by those who have their own connection to it
			return
		}
		t := newTrunk(s.p, key, b)
		if !shard.install(t) {
			t.retire()
		}
		t.run()
	})
}

// reserve tells whether a trunk for key is to be made: not more than one a second.
func (s *Shard) reserve(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired || len(s.trunks) >= maxTrunks || now.Sub(s.tried) < time.Second {
		return false
	}
	s.tried = now
	return true
}

func (s *Shard) install(t *trunk) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired || s.trunks[t.key] != nil {
		return false
	}
	s.trunks[t.key] = t
	return true
}

func (s *Shard) forget(t *trunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trunks[t.key] == t {
		delete(s.trunks, t.key)
	}
}

// retire ends the trunks of a map that is no longer used.
func (m *Map) retire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.known {
		s.mu.Lock()
		s.retired = true
		trunks := slices.Collect(maps.Values(s.trunks))
		s.mu.Unlock()
		for _, t := range trunks {
			t.retire()
		}
	}
}
