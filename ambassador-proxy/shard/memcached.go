package shard

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

const (
	maxLine = 64 << 10 // a get of many keys
	maxKey  = 250      // as memcached bounds it
)

// memcached is the text protocol of memcached (doc/protocol.txt), meta commands included.
type memcached struct{ words [][]byte }

func (*memcached) failure(text string) []byte {
	return fmt.Appendf(nil, "SERVER_ERROR %s\r\n", clean(text))
}

func (*memcached) mistake(text string) []byte {
	return fmt.Appendf(nil, "CLIENT_ERROR %s\r\n", clean(text))
}

func (*memcached) greeting(*view) (greeting, error) { return greeting{}, nil }

func (*memcached) said() string { return "" }

// shared leaves meta commands out: some of them must not be sent twice.
func (m *memcached) shared(b []byte) (key []byte, how share, as shape) {
	words, _, n, err := ParseLine(b, m.words)
	m.words = words
	if err != nil || n < len(b) || len(words) < 2 || badKey(words[1]) || len(words) <= dataSize(words) || string(words[len(words)-1]) == "noreply" {
		return nil, alone, lineShape
	}
	switch string(words[0]) {
	case "get", "gets":
		if len(words) == 2 {
			return words[1], reads, valuesShape
		}
	case "set", "add", "replace", "append", "prepend", "cas", "delete", "incr", "decr", "touch":
		return words[1], brief, lineShape
	}
	return nil, alone, lineShape
}

// binaryMagic begins each request of the binary protocol.
const binaryMagic = 0x80

var errBinary = errors.New("the binary protocol is not supported by the sharding ambassador") // a value, never written

// ParseLine reads a command line and the block of data that belongs to it from the beginning of b: its words, how long the
// line is, and how long all of it is. errMore when b ends too early: n is then how long the command is, or 0, and words and
// line are there when n is. Any other error is final for the connection.
func ParseLine(b []byte, words [][]byte) (out [][]byte, line, n int, err error) {
	words = words[:0]
	if len(b) > 0 && b[0] == binaryMagic {
		return words, 0, 0, errBinary
	}
	end := bytes.IndexByte(b[:min(len(b), maxLine)], '\n')
	if end < 0 {
		if len(b) >= maxLine {
			return words, 0, 0, errors.New("line too long")
		}
		return words, 0, 0, errMore
	}
	line = end + 1
	text := bytes.TrimSuffix(b[:end], []byte("\r"))
	if bytes.ContainsAny(text, "\r\x00") {
		return words, 0, 0, errors.New("a command line has a bare CR or a NUL")
	}
	for len(text) > 0 {
		w, rest, _ := bytes.Cut(text, []byte(" "))
		if len(w) > 0 {
			words = append(words, w)
		}
		text = rest
	}
	if len(words) > 0 && words[0][0] == binaryMagic { // behind blanks: as it would be sent on
		return words, 0, 0, errBinary
	}
	at := dataSize(words)
	if at < 0 || len(words) <= at { // without a size there are no data, as for memcached itself
		return words, line, line, nil
	}
	size, err := decimal(words[at], maxBulk)
	if err != nil || size < 0 {
		return words, 0, 0, errors.New("bad data chunk")
	}
	n = line + size + 2
	if len(b) < n {
		return words, line, n, errMore
	}
	if string(b[n-2:n]) != "\r\n" {
		return words, 0, 0, errors.New("bad data chunk")
	}
	return words, line, n, nil
}

// dataSize is where the size of the data block stands; -1 when there is none.
func dataSize(words [][]byte) int {
	if len(words) == 0 {
		return -1
	}
	switch string(words[0]) {
	case "set", "add", "replace", "append", "prepend", "cas":
		return 4
	case "ms":
		return 2
	}
	return -1
}

func (m *memcached) command(s *session, b []byte) (int, error) {
	words, line, n, err := ParseLine(b, m.words)
	m.words = words
	if err != nil {
		return n, err
	}
	if len(words) == 0 {
		words = append(words, nil)
	}
	switch string(words[0]) {
	case "get", "gets":
		m.retrieve(s, words[:1], words[1:])
	case "gat", "gats":
		if len(words) < 2 {
			s.say([]byte("ERROR\r\n"))
			break
		}
		m.retrieve(s, words[:2], words[2:])
	case "set", "add", "replace", "append", "prepend", "cas", "delete", "incr", "decr", "touch":
		if len(words) <= max(dataSize(words), 1) {
			s.say([]byte("ERROR\r\n"))
			break
		}
		m.change(s, words, b[line-1:n])
	case "mg", "ms", "md", "ma", "me":
		m.meta(s, words, b[:n])
	case "mn":
		s.say([]byte("MN\r\n"))
	case "version":
		s.say([]byte("VERSION 1.6.0 ambassador-proxy\r\n"))
	case "verbosity":
		s.say([]byte("OK\r\n"))
	case "flush_all":
		m.flushAll(s, words)
	case "quit":
		s.ending = true
	case "POST", "Host:", "host:":
		return 0, errHTTP
	case "stats", "slabs", "lru", "lru_crawler", "watch", "cache_memlimit", "shutdown", "me_all":
		s.say([]byte("SERVER_ERROR " + string(words[0]) + " is not supported by the sharding ambassador: it concerns one server, not a key\r\n"))
	default:
		s.say([]byte("ERROR\r\n"))
	}
	return n, nil
}

// block finds the end of a block of data.
type block struct{ left int }

// Scan is scanner.
func (k *block) Scan(b []byte) (n int, done bool, err error) {
	if n = min(len(b), max(k.left-2, 0)); n > 0 {
		k.left -= n
	}
	for ; k.left > 0 && n < len(b); n, k.left = n+1, k.left-1 {
		if b[n] != "\n\r"[k.left-1] {
			return n, false, errors.New("bad data chunk")
		}
	}
	return n, k.left == 0, nil
}

// long begins a command whose line is there.
func (m *memcached) long(s *session, b []byte) (int, scanner) {
	words, line, n, _ := ParseLine(b, m.words) // errMore
	m.words = words
	if n == 0 || string(words[0]) == "ms" || s.p.most > 0 && n > s.p.most {
		return 0, nil
	}
	rest := &block{n - line}
	passed, _, err := rest.Scan(b[line:])
	if err != nil {
		return 0, nil // said when it is parsed again
	}
	m.change(s, words, b[line-1:line+passed])
	return line + passed, rest
}

func badKey(key []byte) bool { return len(key) == 0 || len(key) > maxKey }

// retrieve splits a get: each shard is asked for its keys. before are the words in front of the keys.
func (m *memcached) retrieve(s *session, before, keys [][]byte) {
	if len(keys) == 0 {
		s.say([]byte("ERROR\r\n"))
		return
	}
	if slices.ContainsFunc(keys, badKey) {
		s.say([]byte("CLIENT_ERROR bad command line format\r\n"))
		return
	}
	s.shards, s.at = s.shards[:0], s.at[:0]
	for _, k := range keys {
		shard := s.view.m.of(s.ring, k)
		at := slices.Index(s.shards, shard)
		if at < 0 {
			at = len(s.shards)
			s.shards = append(s.shards, shard)
		}
		s.at = append(s.at, at)
	}
	s.reachAll(s.shards)
	mark := s.mark()
	for i, shard := range s.shards {
		b := s.add(shard, s.reached[i].backend, s.reached[i].err)
		if b == nil {
			continue
		}
		start := len(b.out)
		b.out = appendWords(b.out, before)
		for k, at := range s.at {
			if at == i {
				b.out = append(append(b.out, ' '), keys[k]...)
			}
		}
		b.out = append(b.out, "\r\n"...)
		s.bytes += len(b.out) - start
	}
	s.ask(mark, values)
}

func appendWords(b []byte, words [][]byte) []byte {
	for i, w := range words {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, w...)
	}
	return b
}

// change sends a command of one key. noreply is taken off: memcached may answer an error all the same, and the order of
// answers must be known; the answer is dropped here. data begins with the line's LF.
func (m *memcached) change(s *session, words [][]byte, data []byte) {
	if len(words) < 2 || badKey(words[1]) {
		s.say([]byte("CLIENT_ERROR bad command line format\r\n"))
		return
	}
	key, answer := words[1], oneLine
	if last := len(words) - 1; last > 1 && string(words[last]) == "noreply" {
		words, answer = words[:last], noLine
	}
	shard := s.view.m.of(s.ring, key)
	b, err := s.reach(shard)
	mark := s.mark()
	if b = s.add(shard, b, err); b != nil {
		start := len(b.out)
		b.out = append(append(appendWords(b.out, words), '\r'), data...)
		s.bytes += len(b.out) - start
	}
	s.ask(mark, answer)
}

// meta sends a meta command as it is. A quiet one may have no answer: a no-op behind it marks where the answer would end.
func (m *memcached) meta(s *session, words [][]byte, raw []byte) {
	if len(words) < 2 || badKey(words[1]) || slices.ContainsFunc(words[2:], func(f []byte) bool { return string(f) == "b" }) {
		s.say([]byte("CLIENT_ERROR bad command line format, or a binary key, which the sharding ambassador does not support\r\n"))
		return
	}
	shard := s.view.m.of(s.ring, words[1])
	b, err := s.reach(shard)
	mark := s.mark()
	b = s.add(shard, b, err)
	s.put(b, raw)
	if slices.ContainsFunc(words[2:], func(f []byte) bool { return string(f) == "q" }) {
		s.put(b, []byte("mn\r\n"))
		s.ask(mark, untilNoop)
		return
	}
	s.ask(mark, oneLine)
}

func (m *memcached) flushAll(s *session, words [][]byte) {
	answer := allOK
	if last := len(words) - 1; string(words[last]) == "noreply" {
		words, answer = words[:last], noneOK
	}
	s.reachAll(s.ring.shards)
	mark := s.mark()
	for i, shard := range s.ring.shards {
		if b := s.add(shard, s.reached[i].backend, s.reached[i].err); b != nil {
			b.out = append(appendWords(b.out, words), "\r\n"...)
		}
	}
	s.ask(mark, answer)
}
