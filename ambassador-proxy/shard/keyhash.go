package shard

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"hash/crc32"
)

// hashOf is twemproxy's hash function of that name (nc_hashkit; its crc32 is left out, as 15 bits hit one server only); "" is its default (config validates the name). Its arithmetic is C's on amd64: bytes
// above 127 count as negative in the FNV functions and in one_at_a_time.
func hashOf(name string) func(key []byte) uint32 {
	switch name {
	case "fnv1a_32":
		return func(k []byte) uint32 { return fnv1a(k, 2166136261, 16777619) }
	case "fnv1_64":
		return func(k []byte) uint32 { return fnv1(k, 0x84222325, 0x1b3) }
	case "fnv1_32":
		return func(k []byte) uint32 { return fnv1(k, 2166136261, 16777619) }
	case "md5":
		return func(k []byte) uint32 { sum := md5.Sum(k); return binary.LittleEndian.Uint32(sum[:]) }
	case "crc32a":
		return crc32.ChecksumIEEE
	case "one_at_a_time":
		return oneAtATime
	}
	return func(k []byte) uint32 { return fnv1a(k, 0x84222325, 0x1b3) } // fnv1a_64: the lower halves, truncated as in C
}

func fnv1a(key []byte, hash, prime uint32) uint32 {
	for _, c := range key {
		hash = (hash ^ uint32(int8(c))) * prime
	}
	return hash
}

func fnv1(key []byte, hash, prime uint32) uint32 {
	for _, c := range key {
		hash = hash*prime ^ uint32(int8(c))
	}
	return hash
}

// oneAtATime is Bob Jenkins's.
func oneAtATime(key []byte) uint32 {
	var v uint32
	for _, c := range key {
		v += uint32(int8(c))
		v += v << 10
		v ^= v >> 6
	}
	v += v << 3
	v ^= v >> 11
	return v + v<<15
}

// tagged is the part of a key that is hashed: what stands between the two characters of tag, unless that is empty.
func tagged(key []byte, tag string) []byte {
	if len(tag) != 2 {
		return key
	}
	_, rest, ok := bytes.Cut(key, []byte(tag[:1]))
	if !ok {
		return key
	}
	if in, _, ok := bytes.Cut(rest, []byte(tag[1:])); ok && len(in) > 0 {
		return in
	}
	return key
}
