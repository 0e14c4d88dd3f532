package shard

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// redis is the Redis protocol of one client: what it has said about itself, to be said again on every new connection.
type redis struct {
	args     [][]byte
	room     [32]byte
	version  []byte // of the protocol, from HELLO; nil 2
	login    [][]byte
	database []byte // nil 0
	called   []byte // CLIENT SETNAME
	saying   string // version, login and database in one
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

func (q *redis) mistake(text string) []byte { return redisError("Protocol error: " + text) }

// errHTTP ends a connection that a web page, or an app that was talked into it, has aimed at a cache: the body of such a
// request would be taken for commands. Redis does the same.
var errHTTP = errors.New("HTTP is not spoken here") // a value, never written

func (q *redis) command(s *session, b []byte) (int, error) {
	args, n, err := ParseCommand(b, q.args)
	q.args = args
	if err != nil || len(args) == 0 {
		return n, err
	}
	name := fold(args[0], &q.room)
	c := specOf(name)
	switch {
	case c.kind == unknown && (string(name) == "POST" || string(name) == "HOST:"):
		return 0, errHTTP
	case q.tx.open && c.kind != local:
		q.queue(s, c, string(name), args, raw(b[:n], args))
	case c.single() && len(args) > 1:
		q.forward(s, s.view.m.of(s.ring, args[1]), raw(b[:n], args))
	default:
		q.other(s, c, string(name), args, b[:n])
	}
	return n, nil
}

// long begins a command whose one key is there.
func (q *redis) long(s *session, b []byte) (int, scanner) {
	if b[0] != '*' {
		return 0, nil
	}
	args, n, rest, _ := parseArray(b, q.args[:0]) // errMore
	q.args = args
	if len(args) < 2 {
		return 0, nil
	}
	name := fold(args[0], &q.room)
	c := specOf(name)
	if !c.single() {
		return 0, nil
	}
	passed, _, err := rest.Scan(b[n:])
	if err != nil {
		return 0, nil // said when it is parsed again
	}
	n += passed
	if s.p.most > 0 && int64(n)+rest.bulk > int64(s.p.most) {
		return 0, nil // hold refuses it
	}
	if q.tx.open {
		q.queue(s, c, string(name), args, b[:n])
	} else {
		q.forward(s, s.view.m.of(s.ring, args[1]), b[:n])
	}
	return n, &rest
}

// raw is the command as an array.
func raw(b []byte, args [][]byte) []byte {
	if b[0] != '*' {
		return AppendCommand(nil, args...)
	}
	return b
}

// other handles what is not simply passed on to the shard of one key.
func (q *redis) other(s *session, c spec, name string, args [][]byte, b []byte) {
	switch c.kind {
	case keyed, counted, stored, streams, storing:
		if shard, no := q.one(s, c, name, args); no != nil {
			s.say(no)
		} else {
			q.forward(s, shard, raw(b, args))
		}
	case split, splitGet, splitSet:
		step := 1
		if c.kind == splitSet {
			step = 2
		}
		if len(args) < 2 || (len(args)-1)%step != 0 {
			s.say(arity(name))
			return
		}
		q.split(s, args, step, joinOf(c.kind))
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
}

func joinOf(k kind) func(*relay, *slot) error {
	switch k {
	case splitGet:
		return merged
	case splitSet:
		return agreed
	}
	return summed
}

func arity(name string) []byte {
	return redisError(fmt.Sprintf("wrong number of arguments for '%s' command", strings.ToLower(name)))
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
	if c.kind == streams {
		if options, _ := streamsOf(args); slices.ContainsFunc(options, func(a []byte) bool { return word(a) == "BLOCK" }) {
			return nil, refusal(blocking, name+" BLOCK")
		}
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

func (q *redis) forward(s *session, shard *Shard, request []byte) {
	b, err := s.reach(shard)
	m := s.mark()
	s.put(s.add(shard, b, err), request)
	s.ask(m, whole)
}

// split sends each shard its keys; step 2 takes a value with each.
func (q *redis) split(s *session, args [][]byte, step int, join func(*relay, *slot) error) {
	s.shards, s.at = s.shards[:0], s.at[:0]
	for i := 1; i < len(args); i += step {
		shard := s.view.m.of(s.ring, args[i])
		at := slices.Index(s.shards, shard)
		if at < 0 {
			at = len(s.shards)
			s.shards = append(s.shards, shard)
		}
		s.at = append(s.at, at)
	}
	s.reachAll(s.shards)
	m := s.mark()
	s.order = append(s.order, s.at...)
	for i, shard := range s.shards {
		keys := 0
		for _, at := range s.at {
			if at == i {
				keys++
			}
		}
		b := s.add(shard, s.reached[i].backend, s.reached[i].err)
		s.parts[len(s.parts)-1].keys = keys
		if b == nil {
			continue
		}
		before := len(b.out)
		b.out = appendBulk(appendHead(b.out, '*', 1+keys*step), args[0])
		for k, at := range s.at {
			if at == i {
				for _, a := range args[1+k*step : 1+(k+1)*step] {
					b.out = appendBulk(b.out, a)
				}
			}
		}
		s.bytes += len(b.out) - before
	}
	s.ask(m, join)
}

func (q *redis) broadcast(s *session, shards []*Shard, join func(*relay, *slot) error, request []byte) {
	s.reachAll(shards)
	m := s.mark()
	for i, shard := range shards {
		s.put(s.add(shard, s.reached[i].backend, s.reached[i].err), request)
	}
	s.ask(m, join)
}

// some is a shard that answers: a connected one if there is one.
func (q *redis) some(s *session) []*Shard {
	for i, shard := range s.ring.shards {
		if s.usable(shard) != nil {
			return s.ring.shards[i : i+1]
		}
	}
	for i, shard := range s.ring.shards {
		if _, err := s.reach(shard); err == nil {
			return s.ring.shards[i : i+1]
		}
	}
	return s.ring.shards[:1]
}

// connected are the shards that must hear what the client says about itself; at least one.
func (q *redis) connected(s *session) []*Shard {
	var all []*Shard
	for _, shard := range s.ring.shards {
		if s.usable(shard) != nil {
			all = append(all, shard)
		}
	}
	if len(all) == 0 {
		return q.some(s)
	}
	return all
}

// greeting says on a new connection what the client has said on others.
func (q *redis) greeting(v *view) (greeting, error) {
	user, password, err := v.credentials()
	if err != nil {
		return greeting{}, err
	}
	if password == "" {
		return q.told(q.login), nil
	}
	g := q.told(loginOf(user, password))
	g.ours = 1
	return g, nil
}

func (q *redis) told(login [][]byte) (g greeting) {
	for _, c := range [][][]byte{login, words("HELLO", q.version), words("SELECT", q.database)} {
		if len(c) > 0 {
			g.request = AppendCommand(g.request, c...)
			g.answers++
		}
	}
	return g
}

func (q *redis) said() string { return q.saying }

// remember is to be called when the client has said something of itself.
func (q *redis) remember() { q.saying = string(q.told(q.login).request) }

func (q *redis) shared(b []byte) (key []byte, how share, as shape) {
	if b[0] != '*' || q.tx.open || q.tx.watch != nil {
		return nil, alone, replyShape
	}
	args, n, err := ParseCommand(b, q.args)
	q.args = args
	if err != nil || n < len(b) || len(args) < 2 {
		return nil, alone, replyShape
	}
	name := fold(args[0], &q.room)
	if string(name) == "SET" && slices.ContainsFunc(args[2:], func(a []byte) bool { return len(a) == 3 && word(a) == "GET" }) {
		return nil, alone, replyShape // the old value may be large
	}
	return args[1], specOf(name).share, replyShape
}

func words(name string, v []byte) [][]byte {
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
