package shard

import (
	"bytes"
	"fmt"
	"time"
)

// local answers what concerns the client's connection rather than a key.
func (q *redis) local(s *session, name string, args [][]byte) {
	ok := []byte("+OK\r\n")
	switch name {
	case "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH":
		q.transact(s, name, args)
		return
	}
	if q.tx.open {
		q.tx.bad = true
		s.say(redisError(name + " is not supported within MULTI by the sharding ambassador"))
		return
	}
	switch name {
	case "PING":
		if len(args) > 1 {
			s.say(appendBulk(nil, args[1]))
		} else {
			s.say([]byte("+PONG\r\n"))
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
	case "READONLY", "READWRITE":
		s.say(ok)
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
		sub = fold(args[1])
	}
	switch sub {
	case "SETNAME", "SETINFO", "NO-EVICT", "NO-TOUCH":
		s.say([]byte("+OK\r\n"))
	case "GETNAME":
		s.say([]byte("$0\r\n\r\n"))
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
	if n, err := number64(args[1]); err != nil || n < 0 {
		s.say(redisError("invalid DB index"))
		return
	}
	to := q.connected(s)
	q.database = bytes.Clone(args[1])
	q.broadcast(s, to, agreed, AppendCommand(nil, args...))
}

// auth passes the app's credentials on, unless the ambassador has its own.
func (q *redis) auth(s *session, args [][]byte) {
	if len(args) != 2 && len(args) != 3 {
		s.say(arity("AUTH"))
		return
	}
	if s.view.password != "" {
		s.say([]byte("+OK\r\n"))
		return
	}
	to := q.connected(s)
	q.login = cloned(args)
	q.broadcast(s, to, agreed, AppendCommand(nil, args...))
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
	if len(args) > 1 {
		request = append(request, args[1])
	}
	login := q.login
	for i := 2; i < len(args); {
		switch word := fold(args[i]); {
		case word == "AUTH" && i+2 < len(args):
			if s.view.password == "" {
				login = cloned([][]byte{[]byte("AUTH"), args[i+1], args[i+2]})
				request = append(request, args[i:i+3]...)
			}
			i += 3
		case word == "SETNAME" && i+1 < len(args):
			i += 2
		default:
			s.say(redisError("syntax error in HELLO"))
			return
		}
	}
	q.login = login
	to := q.connected(s)
	if len(args) > 1 {
		q.version = bytes.Clone(args[1])
	}
	q.broadcast(s, to, first, AppendCommand(nil, request...))
}

// info is INFO as far as the ambassador has something to say: libraries look for redis_mode and redis_version.
func (s *session) info() []byte {
	b := fmt.Appendf(nil, "# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\nrole:master\r\nserver_name:ambassador-proxy\r\n\r\n# Shards\r\nshards:%d\r\n", len(s.ring.shards))
	for i, shard := range s.ring.shards {
		state := "ok"
		if err := shard.failure.Load(); err != nil && time.Now().UnixNano() < shard.downTill.Load() {
			state = string(clean((*err).Error()))
		}
		b = fmt.Appendf(b, "shard%d:%s,%s\r\n", i, shard.name, state)
	}
	return b
}
