package main

import (
	"strings"
	"testing"
)

// What a client says about its connection, and its mistakes, are answered word for word as Redis itself answers them.
func TestRealRedis_ConnectionCommandsAndMistakesAreAnsweredAsRedisDoes(t *testing.T) {
	servers, _ := redisServers(t, 3)
	address, _, _ := proxied(t, "redis://"+strings.Join(servers, ","))
	direct, ours := dialPeer(t, servers[0]), dialPeer(t, address)
	for _, ask := range []string{
		"PING", "ping hello", "PING a b", "ECHO x", "ECHO", "SELECT 3", "SELECT x", "SELECT 99", "SELECT -1", "SELECT", "SET k v", "GET k", "SELECT 0", "GET k",
		"CLIENT GETNAME", "CLIENT SETNAME app", "CLIENT GETNAME", "CLIENT NO-EVICT on", "CLIENT SETNAME",
		"AUTH x", "AUTH", "AUTH a b c", "HELLO 4", "HELLO 2 NONSENSE", "COMMAND COUNT", "READONLY x",
		"GET", "SET a", "MGET", "MSET a", "MSET a 1 b", "DEL", "HGET h", "EVAL x", "WATCH", "RENAME a", "ZUNIONSTORE d 1 a",
		"EXEC", "DISCARD", "UNWATCH", "MULTI", "MULTI", "SET t 1", "GET t", "EXEC", "MULTI", "DISCARD", "WATCH k", "MULTI", "WATCH k", "EXEC",
		"MULTI", "GET", "EXEC", "SET n x", "INCR n", "LPUSH n 1", "OBJECT ENCODING n", "RESET", "CLIENT GETNAME", "MULTI", "RESET", "EXEC", "QUIT",
	} {
		want, got := direct.redis(strings.Fields(ask)...), ours.redis(strings.Fields(ask)...)
		if why, ok := strings.CutPrefix(got, strings.TrimSuffix(want, ".")+": "); ok && strings.HasPrefix(why, "ERR ") { // EXECABORT says why
			continue
		}
		if want != got {
			t.Errorf("%s\n  redis: %s\n  ours:  %s", ask, want, got)
		}
	}
	for _, p := range []*peer{direct, ours} {
		if _, err := p.r.ReadByte(); err == nil {
			t.Error("QUIT did not end the connection")
		}
	}
}

func TestRealMemcached_MistakesAreAnsweredAsMemcachedDoes(t *testing.T) {
	servers := memcachedServers(t, 3)
	address, _, _ := proxied(t, "memcached://"+strings.Join(servers, ","))
	direct, ours := dialPeer(t, servers[0]), dialPeer(t, address)
	for _, ask := range []string{
		"set a 0 0 1\r\nx", "add a 0 0 1\r\nx", "replace none 0 0 1\r\nx", "get none", "delete none", "incr none 1", "incr a 1", "touch none 1", "touch a 10",
		"nonsense", "get", "get " + strings.Repeat("k", 251), "gat", "set a 0 0", "mn", "mg none v", "mg a s v", "md none", "verbosity 1", "flush_all", "flush_all 0",
	} {
		for _, p := range []*peer{direct, ours} {
			if _, err := p.Write([]byte(ask + "\r\nmn\r\n")); err != nil {
				t.Fatal(err)
			}
		}
		if want, got := direct.untilMN(), ours.untilMN(); want != got {
			t.Errorf("%.60q\n  memcached: %q\n  ours:      %q", ask, want, got)
		}
	}
}

// untilMN reads up to the answer of a no-op.
func (p *peer) untilMN() string {
	p.t.Helper()
	var lines []string
	for {
		line := p.line()
		if line == "MN" {
			return strings.Join(lines, "|")
		}
		lines = append(lines, line)
	}
}
