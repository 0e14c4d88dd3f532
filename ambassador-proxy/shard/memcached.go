package shard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

const (
	maxLine = 64 << 10 // a get of many keys
	maxKey  = 250      // as memcached bounds it
)

// memcached is the text protocol of memcached (doc/protocol.txt), meta commands included.
type memcached struct{}

func (memcached) failure(text string) []byte {
	return fmt.Appendf(nil, "SERVER_ERROR %s\r\n", clean(text))
}

func (memcached) hello(*session, *backend) error { return nil }

// ParseLine reads a command line and the block of data that belongs to it from the beginning of b: its words, how long the
// line is, and how long all of it is. errMore when b ends too early; any other error is final for the connection.
func ParseLine(b []byte, words [][]byte) (out [][]byte, line, n int, err error) {
	words = words[:0]
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
	for w := range bytes.SplitSeq(text, []byte(" ")) {
		if len(w) > 0 {
			words = append(words, w)
		}
	}
	at := dataSize(words)
	if at < 0 {
		return words, line, line, nil
	}
	if len(words) <= at {
		return words, 0, 0, errors.New("bad data chunk")
	}
	size, err := decimal(words[at], maxBulk)
	if err != nil || size < 0 {
		return words, 0, 0, errors.New("bad data chunk")
	}
	n = line + size + 2
	if len(b) < n {
		return words, 0, 0, errMore
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
	words, line, n, err := ParseLine(b, nil)
	if err != nil {
		return n, err
	}
	name := ""
	if len(words) > 0 {
		name = string(words[0])
	}
	switch name {
	case "get", "gets":
		m.retrieve(s, words[:1], words[1:])
	case "gat", "gats":
		if len(words) < 2 {
			s.say([]byte("ERROR\r\n"))
			break
		}
		m.retrieve(s, words[:2], words[2:])
	case "set", "add", "replace", "append", "prepend", "cas", "delete", "incr", "decr", "touch":
		m.change(s, words, b[line:n])
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
	case "stats", "slabs", "lru", "lru_crawler", "watch", "cache_memlimit", "shutdown", "me_all":
		s.say([]byte("SERVER_ERROR " + name + " is not supported by the sharding ambassador: it concerns one server, not a key\r\n"))
	default:
		s.say([]byte("ERROR\r\n"))
	}
	return n, nil
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
	var shards []*Shard
	var lines [][]byte
	for _, k := range keys {
		shard := s.view.m.of(s.ring, k)
		at := slices.Index(shards, shard)
		if at < 0 {
			at = len(shards)
			shards, lines = append(shards, shard), append(lines, bytes.Join(before, []byte(" ")))
		}
		lines[at] = append(append(lines[at], ' '), k...)
	}
	t := &slot{}
	for _, shard := range shards {
		_, _ = s.backend(shard) // connections before any part is in a batch; to asks again and gets the error
	}
	for i, shard := range shards {
		s.put(s.to(t, shard), lines[i], []byte("\r\n"))
	}
	s.ask(t, values)
}

// change sends a command of one key. noreply is taken off: memcached may answer an error all the same, and the order of
// answers must be known; the answer is dropped here.
func (m *memcached) change(s *session, words [][]byte, data []byte) {
	if len(words) < 2 || badKey(words[1]) {
		s.say([]byte("CLIENT_ERROR bad command line format\r\n"))
		return
	}
	key, answer := words[1], oneLine
	if last := len(words) - 1; last > 1 && string(words[last]) == "noreply" {
		words, answer = words[:last], noLine
	}
	t := &slot{}
	s.put(s.to(t, s.view.m.of(s.ring, key)), bytes.Join(words, []byte(" ")), []byte("\r\n"), data)
	s.ask(t, answer)
}

// meta sends a meta command as it is. A quiet one may have no answer: a no-op behind it marks where the answer would end.
func (m *memcached) meta(s *session, words [][]byte, raw []byte) {
	if len(words) < 2 || badKey(words[1]) || slices.ContainsFunc(words[2:], func(f []byte) bool { return string(f) == "b" }) {
		s.say([]byte("CLIENT_ERROR bad command line format, or a binary key, which the sharding ambassador does not support\r\n"))
		return
	}
	t := &slot{}
	b := s.to(t, s.view.m.of(s.ring, words[1]))
	s.put(b, raw)
	if slices.ContainsFunc(words[2:], func(f []byte) bool { return string(f) == "q" }) {
		s.put(b, []byte("mn\r\n"))
		s.ask(t, untilNoop)
		return
	}
	s.ask(t, oneLine)
}

func (m *memcached) flushAll(s *session, words [][]byte) {
	answer := allOK
	if last := len(words) - 1; string(words[last]) == "noreply" {
		words, answer = words[:last], noneOK
	}
	for _, shard := range s.ring.shards {
		_, _ = s.backend(shard)
	}
	t := &slot{}
	for _, shard := range s.ring.shards {
		s.put(s.to(t, shard), bytes.Join(words, []byte(" ")), []byte("\r\n"))
	}
	s.ask(t, answer)
}

// text relays one answer: a line, and the data behind VALUE and VA. w nil drops it. It returns the line's first word.
func (b *backend) text(w io.Writer, hold func(word string) bool) (word string, begun bool, err error) {
	line, err := b.line()
	if err != nil {
		return "", false, err
	}
	fields := bytes.Fields(line)
	if len(fields) == 0 {
		return "", false, errors.New("malformed answer")
	}
	word, size := string(fields[0]), -1
	if word == "VALUE" && len(fields) >= 4 {
		size, err = strconv.Atoi(string(fields[3]))
	} else if word == "VA" && len(fields) >= 2 {
		size, err = strconv.Atoi(string(fields[1]))
	}
	if err != nil || size < -1 || size > maxBulk {
		return "", false, errors.New("malformed answer")
	}
	if w == nil || hold != nil && hold(word) {
		w = io.Discard
	}
	if _, err := w.Write(line); err != nil {
		return word, true, &clientError{err}
	}
	for left := size + 2; size >= 0 && left > 0; {
		if len(b.unread()) == 0 {
			if err := b.fill(); err != nil {
				return word, true, err
			}
		}
		n := min(left, len(b.unread()))
		if _, err := w.Write(b.unread()[:n]); err != nil {
			return word, true, &clientError{err}
		}
		b.from += n
		left -= n
	}
	return word, true, nil
}
