package shard

import "strconv"

// kind is what is done with a Redis command.
type kind uint8

const (
	unknown    kind = iota
	keyed           // its keys, by first, last and step as in COMMAND INFO, must lie on one shard
	counted         // the number of keys stands at first, the keys follow
	stored          // the first argument is a key too, then as counted
	streams         // the keys are the first half of what follows STREAMS
	storing         // the first argument, and what follows STORE and STOREDIST
	split           // each key is a command of its own; numbers are added
	splitGet        // MGET
	splitSet        // MSET
	everywhere      // to all shards
	anywhere        // to some shard
	local           // answered by the ambassador
	blocking        // refused
	pubsub          // refused
	oneServer       // refused: it needs all keys at once
)

type spec struct {
	kind              kind
	first, last, step int // last -1: the last argument, -2: the one before
	share             share
}

// watched is WATCH, which the transaction handles.
var watched = spec{keyed, 1, -1, 1, alone}

// share tells which commands may go over a connection that clients share: one answer must not hold up those behind it.
type share uint8

const (
	alone share = iota // not at all: the answer may be large, and asking twice would not do
	reads              // an answer that is large is dropped, and asked for again on a connection of the client's own
	brief              // the answer is a word or a number
)

// specOf knows the commands by their upper-case names. Keys stand where COMMAND INFO of Redis 7 says.
func specOf(name []byte) spec {
	switch string(name) {
	case "MGET":
		return spec{splitGet, 1, -1, 1, alone}
	case "MSET":
		return spec{splitSet, 1, -1, 2, alone}
	case "DEL", "EXISTS", "UNLINK", "TOUCH":
		return spec{split, 1, -1, 1, alone}
	case "PING", "ECHO", "QUIT", "AUTH", "HELLO", "SELECT", "INFO", "CLIENT", "RESET", "READONLY", "READWRITE", "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH":
		return spec{kind: local}
	case "DBSIZE", "FLUSHDB", "FLUSHALL":
		return spec{kind: everywhere}
	case "COMMAND", "TIME", "LOLWUT":
		return spec{kind: anywhere}
	case "BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "WAIT", "WAITAOF", "MONITOR", "SYNC", "PSYNC":
		return spec{kind: blocking}
	case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "PUBLISH", "SPUBLISH", "PUBSUB":
		return spec{kind: pubsub}
	case "KEYS", "SCAN", "RANDOMKEY", "SWAPDB", "CLUSTER", "CONFIG", "SCRIPT", "FUNCTION", "DEBUG", "SHUTDOWN", "SAVE", "BGSAVE",
		"BGREWRITEAOF", "LASTSAVE", "REPLICAOF", "SLAVEOF", "ROLE", "SLOWLOG", "LATENCY", "MEMORY", "ACL", "MODULE", "MIGRATE", "FAILOVER":
		return spec{kind: oneServer}
	}
	return specOfKeyed(name)
}

func specOfKeyed(name []byte) spec {
	switch string(name) {
	case "GET", "STRLEN", "GETRANGE", "SUBSTR", "GETBIT", "BITCOUNT", "BITPOS", "BITFIELD_RO", "EXPIRETIME", "PEXPIRETIME", "TTL", "PTTL", "TYPE", "DUMP",
		"HGET", "HMGET", "HLEN", "HKEYS", "HVALS", "HGETALL", "HEXISTS", "HSTRLEN", "HSCAN", "HRANDFIELD", "HEXPIRETIME", "HPEXPIRETIME", "HTTL", "HPTTL",
		"LLEN", "LINDEX", "LRANGE", "LPOS", "SCARD", "SISMEMBER", "SMISMEMBER", "SMEMBERS", "SRANDMEMBER", "SSCAN",
		"ZCARD", "ZCOUNT", "ZSCORE", "ZMSCORE", "ZRANK", "ZREVRANK", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZRANGEBYLEX",
		"ZREVRANGEBYLEX", "ZLEXCOUNT", "ZRANDMEMBER", "ZSCAN", "GEODIST", "GEOHASH", "GEOPOS", "GEOSEARCH", "GEORADIUS_RO", "GEORADIUSBYMEMBER_RO",
		"XLEN", "XRANGE", "XREVRANGE", "XPENDING", "SORT_RO":
		return spec{keyed, 1, 1, 1, reads}
	case "SET", "SETEX", "PSETEX", "SETNX", "APPEND", "INCR", "DECR", "INCRBY", "DECRBY", "INCRBYFLOAT", "SETRANGE", "SETBIT",
		"EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT", "PERSIST", "MOVE", "HSET", "HSETNX", "HMSET", "HDEL", "HINCRBY", "HINCRBYFLOAT",
		"LPUSH", "RPUSH", "LPUSHX", "RPUSHX", "LSET", "LTRIM", "LREM", "LINSERT", "SADD", "SREM",
		"ZADD", "ZREM", "ZINCRBY", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "ZREMRANGEBYLEX", "PFADD", "GEOADD", "XADD", "XDEL", "XTRIM", "XACK":
		return spec{keyed, 1, 1, 1, brief}
	case "GETSET", "GETDEL", "GETEX", "BITFIELD", "RESTORE", "HEXPIRE", "HPEXPIRE", "HEXPIREAT", "HPEXPIREAT", "HPERSIST", "HGETDEL", "HGETEX", "HSETEX",
		"LPOP", "RPOP", "SPOP", "ZPOPMIN", "ZPOPMAX", "XCLAIM", "XAUTOCLAIM", "XSETID":
		return spec{keyed, 1, 1, 1, alone}
	case "RENAME", "RENAMENX", "COPY", "LMOVE", "RPOPLPUSH", "SMOVE", "ZRANGESTORE", "GEOSEARCHSTORE", "LCS":
		return spec{keyed, 1, 2, 1, alone}
	case "SINTER", "SUNION", "SDIFF", "SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE", "PFCOUNT", "PFMERGE":
		return spec{keyed, 1, -1, 1, alone}
	case "MSETNX":
		return spec{keyed, 1, -1, 2, alone}
	case "BITOP":
		return spec{keyed, 2, -1, 1, alone}
	case "OBJECT", "XINFO", "XGROUP":
		return spec{keyed, 2, 2, 1, alone}
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO":
		return spec{kind: counted, first: 2}
	case "SINTERCARD", "ZINTER", "ZUNION", "ZDIFF", "ZINTERCARD", "LMPOP", "ZMPOP":
		return spec{kind: counted, first: 1}
	case "ZINTERSTORE", "ZUNIONSTORE", "ZDIFFSTORE":
		return spec{kind: stored, first: 2}
	case "XREAD", "XREADGROUP":
		return spec{kind: streams}
	case "SORT", "GEORADIUS", "GEORADIUSBYMEMBER":
		return spec{kind: storing}
	}
	return spec{}
}

// keysOf are the keys of a command that must lie on one shard; nil when it has too few arguments.
func (c spec) keysOf(args [][]byte) (keys [][]byte) {
	switch c.kind {
	case counted, stored:
		if len(args) <= c.first {
			return nil
		}
		n, err := strconv.Atoi(string(args[c.first]))
		if err != nil || n < 1 || n > len(args)-c.first-1 {
			return nil
		}
		if keys = args[c.first+1 : c.first+1+n]; c.kind == stored {
			keys = append([][]byte{args[1]}, keys...)
		}
		return keys
	case streams:
		_, rest := streamsOf(args)
		return rest[:len(rest)/2]
	case storing:
		return storedBy(args)
	}
	last := c.last
	if last < 0 {
		last += len(args)
	}
	if len(args) <= last {
		return nil
	}
	for i := c.first; i <= last; i += c.step {
		keys = append(keys, args[i])
	}
	return keys
}

// streamsOf are the options of XREAD and XREADGROUP, less the two names behind GROUP, which may be any, and what follows STREAMS.
func streamsOf(args [][]byte) (options, streams [][]byte) {
	begin := 1
	if len(args) > 4 && word(args[1]) == "GROUP" {
		begin = 4
	}
	for i := begin; i < len(args); i++ {
		if word(args[i]) == "STREAMS" {
			return args[begin:i], args[i+1:]
		}
	}
	return nil, nil
}

// storedBy are the keys of a command that may store what it finds. The patterns of BY and GET are no keys.
func storedBy(args [][]byte) (keys [][]byte) {
	if len(args) < 2 {
		return nil
	}
	keys = append(keys, args[1])
	for i := 2; i+1 < len(args); i++ {
		switch word(args[i]) {
		case "BY", "GET":
			i++
		case "STORE", "STOREDIST":
			i++
			keys = append(keys, args[i])
		}
	}
	return keys
}

// single tells whether the command has one key, its first argument.
func (c spec) single() bool { return c.kind == keyed && c.first == 1 && c.last == 1 }

// fold makes a short word upper-case, in room; empty when it is too long.
func fold(b []byte, room *[32]byte) []byte {
	if len(b) > len(room) {
		return nil
	}
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		room[i] = c
	}
	return room[:len(b)]
}

// word is fold where it does not matter what that costs.
func word(b []byte) string {
	var room [32]byte
	return string(fold(b, &room))
}

// KeysOf are the keys of a command as the app would write it, or why the ambassador would not send it to a shard.
func KeysOf(protocol string, words []string) (keys [][]byte, why string) {
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	if len(args) < 2 {
		return nil, "a command and its key are wanted, for example redis GET user:7"
	}
	if protocol == "memcached" {
		if keys = args[1:2]; words[0] == "get" || words[0] == "gets" {
			keys = args[1:]
		}
		return keys, ""
	}
	name := word(args[0])
	c := specOf([]byte(name))
	if name == "WATCH" {
		c = watched
	}
	switch c.kind {
	case keyed, counted, stored, streams, storing, split, splitGet, splitSet:
		if keys = c.keysOf(args); len(keys) == 0 {
			why = "wrong number of arguments for " + name
		}
	case local, everywhere, anywhere:
		why = name + " concerns no key"
	default:
		why = string(refusal(c.kind, name)[1:])
	}
	return keys, why
}
