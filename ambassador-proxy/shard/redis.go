package shard

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// redis is the Redis protocol of one client: what it has said about itself, to be said again on every new connection.
type redis struct {
	args     [][]byte
	version  []byte // of the protocol, from HELLO; nil 2
	login    [][]byte
	database []byte // nil 0
	tx       transaction
}

func redisError(text string) []byte { return fmt.Appendf(nil, "-ERR %s\r\n", clean(text)) }

// clean keeps an error on its line.
func clean(text string) []byte {
	return bytes.Map(func(c rune) rune {
		if c < ' ' {
			return ' '
		}
		return c
	}, []byte(text))
}

func (q *redis) failure(text string) []byte { return redisError(text) }

func (q *redis) command(s *session, b []byte) (int, error) {
	args, n, err := ParseCommand(b, q.args)
	q.args = args
	if err != nil || len(args) == 0 {
		return n, err
	}
	name := fold(args[0])
	c := specOf(name)
	if q.tx.open && c.kind != local {
		q.queue(s, c, name, args, b[:n])
		return n, nil
	}
	switch c.kind {
	case keyed, counted, streams:
		q.forward(s, c, name, args, b[:n])
	case split:
		if len(args) < 2 {
			s.say(arity(name))
			break
		}
		q.split(s, args, 1, summed)
	case splitGet:
		if len(args) < 2 {
			s.say(arity(name))
			break
		}
		q.split(s, args, 1, merged)
	case splitSet:
		if len(args) < 3 || len(args)%2 == 0 {
			s.say(arity(name))
			break
		}
		q.split(s, args, 2, agreed)
	case everywhere:
		join := agreed
		if name == "DBSIZE" {
			join = summed
		}
		q.broadcast(s, s.ring.shards, join, AppendCommand(nil, args...))
	case anywhere:
		q.broadcast(s, q.some(s), first, AppendCommand(nil, args...))
	case local:
		q.local(s, name, args)
	default:
		s.say(refusal(c.kind, name))
	}
	return n, nil
}

func arity(name string) []byte {
	return redisError(fmt.Sprintf("wrong number of arguments for '%s' command", name))
}

func refusal(k kind, name string) []byte {
	switch k {
	case blocking:
		return redisError(name + " is not supported by the sharding ambassador: it would block the connection to a shard")
	case pubsub:
		return redisError(name + " is not supported by the sharding ambassador: channels belong to no shard (connect to one server directly)")
	case oneServer:
		return redisError(name + " is not supported by the sharding ambassador: it concerns one server, not a key")
	}
	return redisError(fmt.Sprintf("unknown command '%s', or not supported by the sharding ambassador: where its keys stand is not known", clean(name)))
}

// one is the shard of a command's keys, or the answer that refuses it.
func (q *redis) one(s *session, c spec, name string, args [][]byte) (*Shard, []byte) {
	if c.kind == streams && slices.ContainsFunc(args[1:], func(a []byte) bool { return fold(a) == "BLOCK" }) {
		return nil, refusal(blocking, name+" BLOCK")
	}
	keys := c.keysOf(args)
	if len(keys) == 0 {
		if c.kind == counted && len(args) > c.first {
			return nil, redisError(name + " without keys is not supported by the sharding ambassador: it belongs to no shard")
		}
		return nil, arity(name)
	}
	at := s.view.m.of(s.ring, keys[0])
	for _, k := range keys[1:] {
		if s.view.m.of(s.ring, k) != at {
			return nil, []byte("-CROSSSLOT keys of one command lie on different shards (give them a common {hash tag})\r\n")
		}
	}
	return at, nil
}

func (q *redis) forward(s *session, c spec, name string, args [][]byte, raw []byte) {
	shard, no := q.one(s, c, name, args)
	if no != nil {
		s.say(no)
		return
	}
	t := &slot{}
	b := s.to(t, shard)
	if raw[0] != '*' {
		raw = AppendCommand(nil, args...)
	}
	s.put(b, raw)
	s.ask(t, whole)
}

// split sends each shard its keys; step 2 takes a value with each.
func (q *redis) split(s *session, args [][]byte, step int, join func(*relay, *slot) error) {
	var shards []*Shard
	var perShard [][][]byte
	t := &slot{}
	for i := 1; i < len(args); i += step {
		shard := s.view.m.of(s.ring, args[i])
		at := slices.Index(shards, shard)
		if at < 0 {
			at = len(shards)
			shards = append(shards, shard)
			perShard = append(perShard, [][]byte{args[0]})
		}
		perShard[at] = append(perShard[at], args[i:i+step]...)
		t.order = append(t.order, at)
	}
	q.connect(s, shards)
	for i, shard := range shards {
		b := s.to(t, shard)
		t.parts[i].keys = (len(perShard[i]) - 1) / step
		s.put(b, AppendCommand(nil, perShard[i]...))
	}
	s.ask(t, join)
}

// connect makes the connections before any part is in a batch.
func (q *redis) connect(s *session, shards []*Shard) {
	for _, shard := range shards {
		_, _ = s.backend(shard) // to asks again and gets the error
	}
}

func (q *redis) broadcast(s *session, shards []*Shard, join func(*relay, *slot) error, request []byte) {
	q.connect(s, shards)
	t := &slot{}
	for _, shard := range shards {
		s.put(s.to(t, shard), request)
	}
	s.ask(t, join)
}

// some is a shard that answers: a connected one if there is one.
func (q *redis) some(s *session) []*Shard {
	for _, shard := range s.ring.shards {
		if _, err := s.backend(shard); err == nil {
			return []*Shard{shard}
		}
	}
	return s.ring.shards[:1]
}

// connected are the shards that must hear what the client says about itself; at least one.
func (q *redis) connected(s *session) []*Shard {
	var all []*Shard
	for _, shard := range s.ring.shards {
		if b := s.backends[shard]; b != nil && !b.broken.Load() {
			all = append(all, shard)
		}
	}
	if len(all) == 0 {
		return q.some(s)
	}
	return all
}

// hello says on a new connection what the client has said on others.
func (q *redis) hello(s *session, b *backend) error {
	login := q.login
	if user, password, err := s.view.credentials(); err != nil {
		return err
	} else if password != "" {
		login = loginOf(user, password)
	}
	var request []byte
	asked := 0
	for _, c := range [][][]byte{login, word(q.version, "HELLO"), word(q.database, "SELECT")} {
		if len(c) > 0 {
			request = AppendCommand(request, c...)
			asked++
		}
	}
	if asked == 0 {
		return nil
	}
	_ = b.conn.SetDeadline(time.Now().Add(helloTimeout))
	defer b.conn.SetDeadline(time.Time{})
	if _, err := b.conn.Write(request); err != nil {
		return cause(err)
	}
	for range asked {
		mark, err := b.peek()
		if err != nil {
			return cause(err)
		}
		if mark == '-' {
			line, err := b.line()
			if err != nil {
				return cause(err)
			}
			return fmt.Errorf("%s", bytes.TrimRight(line[1:], "\r\n"))
		}
		if _, err := b.reply(nil); err != nil {
			return cause(err)
		}
	}
	return nil
}

const helloTimeout = 5 * time.Second

func word(v []byte, name string) [][]byte {
	if v == nil {
		return nil
	}
	return [][]byte{[]byte(name), v}
}

func loginOf(user, password string) [][]byte {
	if user == "" {
		return [][]byte{[]byte("AUTH"), []byte(password)}
	}
	return [][]byte{[]byte("AUTH"), []byte(user), []byte(password)}
}

func number64(b []byte) (int64, error) { return strconv.ParseInt(string(b), 10, 64) }
