package shard

import (
	"bytes"
	"fmt"
	"strconv"
)

// local answers what concerns the client's connection rather than a key.
func (q *redis) local(s *session, name string, args [][]byte) {
	ok := []byte("+OK\r\n")
	switch name {
	case "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH":
		q.transact(s, name, args)
		return
	}
	if q.tx.open && name != "RESET" && name != "QUIT" {
		no := redisError(name + " is not supported within MULTI by the sharding ambassador")
		q.tx.refused(no)
		s.say(no)
		return
	}
	switch name {
	case "PING":
		switch len(args) {
		case 1:
			s.say([]byte("+PONG\r\n"))
		case 2:
			s.say(appendBulk(nil, args[1]))
		default:
			s.say(arity(name))
		}
	case "ECHO":
		if len(args) != 2 {
			s.say(arity(name))
		} else {
			s.say(appendBulk(nil, args[1]))
		}
	case "QUIT":
		s.say(ok)
		s.ending = true
	case "RESET":
		q.reset(s)
	case "READONLY", "READWRITE":
		if len(args) != 1 {
			s.say(arity(name))
		} else {
			s.say(ok)
		}
	case "CLIENT":
		q.client(s, args)
	case "INFO":
		s.say(appendBulk(nil, s.info()))
	case "SELECT":
		q.choose(s, args)
	case "AUTH":
		q.auth(s, args)
	case "HELLO":
		q.greet(s, args)
	}
}

// client answers what libraries say at the start of a connection.
func (q *redis) client(s *session, args [][]byte) {
	sub := ""
	if len(args) > 1 {
		sub = word(args[1])
	}
	switch sub {
	case "SETNAME":
		if len(args) != 3 {
			s.say(arity("CLIENT|SETNAME"))
			return
		}
		q.called = bytes.Clone(args[2])
		s.say([]byte("+OK\r\n"))
	case "SETINFO", "NO-EVICT", "NO-TOUCH":
		s.say([]byte("+OK\r\n"))
	case "GETNAME":
		switch {
		case q.called != nil:
			s.say(appendBulk(nil, q.called))
		case string(q.version) == "3":
			s.say([]byte("_\r\n"))
		default:
			s.say([]byte("$-1\r\n"))
		}
	case "ID":
		s.say(fmt.Appendf(nil, ":%d\r\n", s.id))
	default:
		s.say(redisError("CLIENT " + sub + " is not supported by the sharding ambassador: it concerns one server, not a key"))
	}
}

// choose remembers the database for connections to come, and tells those that are there.
func (q *redis) choose(s *session, args [][]byte) {
	if len(args) != 2 {
		s.say(arity("SELECT"))
		return
	}
	if _, err := strconv.ParseInt(string(args[1]), 10, 32); err != nil {
		s.say(redisError("value is not an integer or out of range"))
		return
	}
	database := bytes.Clone(args[1])
	q.broadcast(s, q.connected(s), then(agreed, func() { q.database = database; q.remember() }), AppendCommand(nil, args...))
}

// then is a join that remembers what was said, for connections to come, once the shards have taken it.
func then(join func(*relay, *slot) error, remember func()) func(*relay, *slot) error {
	return func(r *relay, t *slot) error {
		r.refused = false
		err := join(r, t)
		if err == nil && !r.refused {
			remember()
		}
		return err
	}
}

// reset forgets all that the client has said about itself, with the connections that have heard it.
func (q *redis) reset(s *session) {
	_ = s.flush() // its error comes again
	for _, b := range s.backends {
		s.drop(b)
	}
	*q = redis{args: q.args}
	s.say([]byte("+RESET\r\n"))
}

// auth passes the app's credentials on, unless the ambassador has its own.
func (q *redis) auth(s *session, args [][]byte) {
	switch {
	case len(args) < 2:
		s.say(arity("AUTH"))
		return
	case len(args) > 3:
		s.say(redisError("syntax error"))
		return
	}
	if s.view.password != "" {
		s.say([]byte("+OK\r\n"))
		return
	}
	login := cloned(args)
	q.broadcast(s, q.connected(s), then(agreed, func() { q.login = login; q.remember() }), AppendCommand(nil, args...))
}

func cloned(args [][]byte) [][]byte {
	out := make([][]byte, len(args))
	for i, a := range args {
		out[i] = bytes.Clone(a)
	}
	return out
}

// greet handles HELLO [version [AUTH user password] [SETNAME name]].
func (q *redis) greet(s *session, args [][]byte) {
	if len(args) > 1 {
		if v := string(args[1]); v != "2" && v != "3" {
			s.say([]byte("-NOPROTO unsupported protocol version\r\n"))
			return
		}
	}
	request := [][]byte{args[0]}
	version := q.version
	if len(args) > 1 {
		request = append(request, args[1])
		version = bytes.Clone(args[1])
	}
	login, called := q.login, q.called
	for i := 2; i < len(args); {
		switch word := word(args[i]); {
		case word == "AUTH" && i+2 < len(args):
			if s.view.password == "" {
				login = cloned([][]byte{[]byte("AUTH"), args[i+1], args[i+2]})
				request = append(request, args[i:i+3]...)
			}
			i += 3
		case word == "SETNAME" && i+1 < len(args):
			called = bytes.Clone(args[i+1])
			i += 2
		default:
			s.say(redisError(fmt.Sprintf("Syntax error in HELLO option '%s'", args[i])))
			return
		}
	}
	remember := func() {
		q.version, q.login, q.called = version, login, called
		q.remember()
	}
	q.broadcast(s, q.connected(s), then(first, remember), AppendCommand(nil, request...))
}

// info is INFO as far as the ambassador has something to say: libraries look for redis_mode and redis_version.
func (s *session) info() []byte {
	b := fmt.Appendf(nil, "# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\nrole:master\r\nserver_name:ambassador-proxy\r\n\r\n# Shards\r\nshards:%d\r\n", len(s.ring.shards))
	for i, shard := range s.ring.shards {
		state := "no address"
		if e := shard.endpoint.Load(); e != nil {
			state = e.State().String()
		}
		b = fmt.Appendf(b, "shard%d:%s,%s\r\n", i, shard.name, state)
	}
	return b
}
