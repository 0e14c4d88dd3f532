// Package record holds the two forms in which log data passes through the shipper.
//
// On the fast path nothing smaller than a Chunk exists: a run of whole lines exactly as they stand in the file, which an
// encoder turns into its wire form in one scan. Only when the configuration asks to look inside (parse, shape) is a Chunk
// walked record by record through one reused Record.
package record

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"iter"
)

// Source is one generation of one file: what was born, written and perhaps renamed as one stream of bytes.
// It is immutable, so an encoder may cache by pointer what it renders from it (labels, a spliced suffix).
type Source struct {
	// Path under which the generation was found; it stays the same after a rename, because it names the stream.
	Path string
	// Generation is unique to this stream of bytes: two files that take turns under one path differ in it.
	Generation uint64
}

// EventID identifies a record by where it came from, never by its content: the generation, then the offset of the
// record's first byte, both big-endian. A resend has the same ID, two identical lines have different ones.
type EventID [16]byte

// ID is the EventID of the record that starts at offset.
func (s *Source) ID(offset int64) (id EventID) {
	binary.BigEndian.PutUint64(id[:8], s.Generation)
	binary.BigEndian.PutUint64(id[8:], uint64(offset))
	return id
}

// Append appends the ID as 32 hexadecimal digits.
func (id EventID) Append(dst []byte) []byte { return hex.AppendEncode(dst, id[:]) }

// Chunk is a run of whole records of one Source. Data and Ends belong to the pipeline: nobody changes them, and nobody
// keeps them after the call that handed them over.
type Chunk struct {
	Source *Source
	// Data are the bytes of the file. Each record ends with a newline, except that the last one of a file may lack it.
	Data []byte
	// Offset of Data[0] in the generation, in bytes.
	Offset int64
	// Next is the offset after the last record: Offset+len(Data), or more where an overlong line was cut.
	Next int64
	// Ends are the ends of the records in Data (exclusive, newline included) where records span lines. Nil means that
	// every newline ends a record.
	Ends []int
	// Truncated says that the (only) record was longer than max_line and lost its end.
	Truncated bool
	// Time in Unix nanoseconds for records that carry no time of their own: the record at Data[i] has Time+i. A resend
	// of the same bytes has the same Time, so that a destination which compares timestamps sees a repeat.
	Time int64
}

// Records yields the start and the end in Data of each record, in order, the newline included.
func (c *Chunk) Records() iter.Seq2[int, int] {
	return func(yield func(start, end int) bool) {
		for start, i := 0, 0; start < len(c.Data); i++ {
			end := c.end(start, i)
			if !yield(start, end) {
				return
			}
			start = end
		}
	}
}

func (c *Chunk) end(start, i int) int {
	if c.Ends != nil {
		return c.Ends[i]
	}
	if n := bytes.IndexByte(c.Data[start:], '\n'); n >= 0 {
		return start + n + 1
	}
	return len(c.Data)
}

// Count is the number of records in c.
func (c *Chunk) Count() int {
	if c.Ends != nil {
		return len(c.Ends)
	}
	n := bytes.Count(c.Data, []byte{'\n'})
	if len(c.Data) > 0 && c.Data[len(c.Data)-1] != '\n' {
		n++
	}
	return n
}

// Slice is the part of c from one record boundary to another: Data[start:end].
// It allocates nothing where Ends is nil; Ends of the part are appended to ends, which may be reused scratch.
func (c *Chunk) Slice(start, end int, ends []int) Chunk {
	part := *c
	part.Data = c.Data[start:end]
	part.Offset = c.Offset + int64(start)
	part.Time = c.Time + int64(start)
	if end < len(c.Data) {
		part.Next = c.Offset + int64(end)
	}
	if c.Ends == nil {
		return part
	}
	part.Ends = ends
	for _, e := range c.Ends {
		if e > start && e <= end {
			part.Ends = append(part.Ends, e-start)
		}
	}
	return part
}
