package shard

import (
	"bytes"
	"errors"
	"fmt"
)

// transaction is MULTI of one client: all of it on the shard of its first key, on the connection that also watches.
type transaction struct {
	open  bool
	bad   string   // why a command was refused: EXEC must abort
	on    *backend // nil: no command yet
	watch *backend // nil: nothing is watched
}

func (q *redis) transact(s *session, name string, args [][]byte) {
	ok := []byte("+OK\r\n")
	tx := &q.tx
	switch {
	case name == "MULTI" && tx.open:
		s.say(redisError("MULTI calls can not be nested"))
	case name == "MULTI":
		tx.open = true
		s.say(ok)
	case name == "WATCH" && tx.open:
		s.say(redisError("WATCH inside MULTI is not allowed"))
	case name == "WATCH":
		q.watch(s, args)
	case name == "UNWATCH":
		b := tx.watch
		tx.watch = nil
		if b == nil || tx.open || b.broken.Load() {
			s.say(ok)
			return
		}
		q.tell(s, b, "UNWATCH", nil, whole)
	case !tx.open:
		s.say(redisError(name + " without MULTI"))
	case name == "EXEC":
		q.exec(s)
	default:
		q.abort(s, ok)
	}
}

// tell sends a command without keys to the connection of a transaction; text is for dropped.
func (q *redis) tell(s *session, b *backend, command string, text []byte, answer func(*relay, *slot) error) {
	err := errors.New("the connection of the transaction was lost")
	if s.usable(b.shard) == b {
		err = s.claim(b)
	}
	m := s.mark()
	s.put(s.add(b.shard, b, err), AppendCommand(nil, []byte(command)))
	s.ask(m, answer)
	s.slots[len(s.slots)-1].text = text
}

func (q *redis) watch(s *session, args [][]byte) {
	shard, no := q.one(s, watched, "WATCH", args)
	if no == nil && q.tx.watch != nil && q.tx.watch.shard != shard {
		no = []byte("-CROSSSLOT keys of one transaction lie on different shards (give them a common {hash tag})\r\n")
	}
	if no != nil {
		s.say(no)
		return
	}
	b, err := s.reach(shard)
	if q.tx.watch != nil && q.tx.watch != b {
		err = errors.New("the connection of the transaction was lost")
	}
	m := s.mark()
	s.put(s.add(shard, b, err), AppendCommand(nil, args...))
	if q.tx.watch == nil && err == nil {
		q.tx.watch = b
	}
	s.ask(m, whole)
}

// queue takes a command into the open transaction.
func (q *redis) queue(s *session, c spec, name string, args [][]byte, request []byte) {
	refuse := func(text []byte) {
		q.tx.refused(text)
		s.say(text)
	}
	switch c.kind {
	case keyed, counted, stored, streams, storing:
	case split, splitGet, splitSet:
		c.kind = keyed
	default:
		refuse(refusal(c.kind, name))
		return
	}
	shard, no := q.one(s, c, name, args)
	if no != nil {
		refuse(no)
		return
	}
	b, err := s.reach(shard)
	if err != nil {
		refuse(redisError(fmt.Sprintf("shard %s: %v", shard.name, err)))
		return
	}
	if pinned := q.tx.pinned(); pinned != nil && pinned != b {
		if pinned.shard == shard {
			refuse(redisError(fmt.Sprintf("shard %s: the connection of the transaction was lost", shard.name)))
		} else {
			refuse([]byte("-CROSSSLOT keys of one transaction lie on different shards (give them a common {hash tag})\r\n"))
		}
		return
	}
	m := s.mark()
	answer := whole
	if q.tx.on == nil {
		q.tx.on = b
		s.put(s.add(shard, b, nil), []byte("*1\r\n$5\r\nMULTI\r\n"))
		answer = second
	}
	s.put(s.add(shard, b, nil), request)
	s.ask(m, answer)
}

// refused keeps the first refusal for EXEC's answer: libraries show the app only that one.
func (tx *transaction) refused(text []byte) {
	if tx.bad == "" {
		tx.bad = string(bytes.TrimSpace(text[1:]))
	}
}

func (tx *transaction) pinned() *backend {
	if tx.on != nil {
		return tx.on
	}
	return tx.watch
}

func (q *redis) exec(s *session) {
	tx := q.tx
	switch {
	case tx.bad != "":
		q.abort(s, fmt.Appendf(nil, "-EXECABORT Transaction discarded because of previous errors: %s\r\n", tx.bad))
	case tx.on != nil && s.backends[tx.on.shard] != tx.on:
		q.abort(s, []byte("-EXECABORT Transaction discarded because its connection was lost\r\n"))
	case tx.on == nil:
		q.abort(s, []byte("*0\r\n"))
	default:
		q.tx = transaction{}
		q.tell(s, tx.on, "EXEC", nil, whole)
	}
}

// abort ends the transaction and answers text.
func (q *redis) abort(s *session, text []byte) {
	tx := q.tx
	q.tx = transaction{}
	command := "DISCARD"
	if tx.on == nil {
		command = "UNWATCH"
	}
	b := tx.pinned()
	if b == nil || s.backends[b.shard] != b || b.broken.Load() {
		s.say(text)
		return
	}
	q.tell(s, b, command, text, dropped)
}

// second relays the second reply; the first is MULTI's.
func second(r *relay, t *slot) error {
	p := &t.parts[0]
	err := r.ready(p)
	if err == nil {
		_, err = p.reply(nil)
	}
	if err != nil {
		if p.err == nil {
			p.fail(because(err))
		}
		return r.fault(p, err)
	}
	return whole(r, &slot{parts: t.parts[1:]})
}

// dropped answers the slot's own text whatever the shard says.
func dropped(r *relay, t *slot) error {
	p := &t.parts[0]
	if err := r.ready(p); err == nil {
		if _, err := p.reply(nil); err != nil {
			p.fail(because(err))
		}
	} else if isClient(err) {
		return err
	}
	_, err := r.Write(t.text)
	return err
}
