package output

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// The few pieces of the protobuf wire format (https://protobuf.dev/programming-guides/encoding/) that log records need.
// tag is a field's number and wire type in one byte: number<<3 | type, where type is 0 varint, 1 fixed64, 2 bytes.

// openMessage starts a message whose length is not known yet, and returns where closeMessage fills it in. The length takes
// four bytes, more than it needs: a varint may be longer than its shortest form.
func openMessage(dst []byte, tag byte) (out []byte, at int) {
	return append(dst, tag, 0x80, 0x80, 0x80, 0), len(dst) + 1
}

// closeMessage fills in the length of the message that openMessage started at at. Messages are below 2^28 bytes.
func closeMessage(dst []byte, at int) {
	n := len(dst) - at - 4
	dst[at] = byte(n) | 0x80
	dst[at+1] = byte(n>>7) | 0x80
	dst[at+2] = byte(n>>14) | 0x80
	dst[at+3] = byte(n>>21) & 0x7f
}

// varintSize is how many bytes v takes.
func varintSize(v int) int { return (bits.Len64(uint64(v)|1) + 6) / 7 }

// bytesSize is how many bytes a field of n bytes takes, its tag included.
func bytesSize(n int) int { return 1 + varintSize(n) + n }

// appendBytes appends a bytes, string or message field.
func appendBytes[T string | []byte](dst []byte, tag byte, v T) []byte {
	return append(binary.AppendUvarint(append(dst, tag), uint64(len(v))), v...)
}

// appendLength appends the start of a message of n bytes, which the caller appends next.
func appendLength(dst []byte, tag byte, n int) []byte {
	return binary.AppendUvarint(append(dst, tag), uint64(n))
}

// appendFixed64 appends a fixed64 field.
func appendFixed64(dst []byte, tag byte, v uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, tag), v)
}

// repaired is s when it is UTF-8, as protobuf's string has to be, else a copy with U+FFFD for each run of other bytes.
func repaired(s []byte) []byte {
	if utf8.Valid(s) {
		return s
	}
	return bytes.ToValidUTF8(s, []byte(string(utf8.RuneError)))
}

// cursor walks over the records of a chunk. It is Chunk.Records without a function call for each.
type cursor struct {
	data   []byte
	ends   []int
	at     int
	repair bool // records may hold bytes that are not UTF-8
}

// textOf walks over records that have to be UTF-8, which is looked at once for all of them.
func textOf(c *record.Chunk) cursor {
	return cursor{data: c.Data, ends: c.Ends, repair: !utf8.Valid(c.Data)}
}

// next returns a record without its newline and where it starts; false at the end.
func (c *cursor) next() (line []byte, start int, ok bool) {
	if c.at >= len(c.data) {
		return nil, 0, false
	}
	start = c.at
	if c.ends != nil {
		c.at, c.ends = c.ends[0], c.ends[1:]
	} else {
		c.at = lineEnd(c.data, start)
	}
	line = trimNewline(c.data[start:c.at])
	if c.repair {
		line = repaired(line)
	}
	return line, start, true
}
