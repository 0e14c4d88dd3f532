// Package tail follows files through everything that can happen to them.
//
// A Set holds the generations: each is one stream of bytes with an identity (find.Key, the hash of its head, the bytes before
// the position), an open handle, and one cursor for each output. One goroutine, Set.Run, looks at the files and is the only
// one that adds, moves and retires generations. The outputs ask for what is Ready, read it through the handle, and
// acknowledge it; they only ever move their own cursor. A file is let go when every output has acknowledged all of it.
package tail

import (
	"bytes"
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
)

const (
	headBytes   = 1024    // of which the head hash is made, at most
	markerBytes = 256     // before a position, at most
	sentBytes   = 4 << 20 // after a position, at most: a hole or an overlong line may be of any length
)

// source is what a generation is read from: an open file, or an inflated one.
type source interface {
	io.ReaderAt
	io.Closer
}

// headOf hashes the first bytes of r, limit of them at most.
func headOf(r io.ReaderAt, limit int) (checkpoint.Mark, error) {
	var buf [headBytes]byte
	n, err := r.ReadAt(buf[:limit], 0)
	if err != nil && err != io.EOF {
		return checkpoint.Mark{}, err
	}
	return checkpoint.Mark{Len: n, Sum: xxhash.Sum64(buf[:n])}, nil
}

// hasHead says that r begins with the bytes that m was made of. A mark of nothing fits everything.
func hasHead(r io.ReaderAt, m checkpoint.Mark) bool {
	got, err := headOf(r, min(m.Len, headBytes))
	return err == nil && got == checkpoint.Mark{Len: m.Len, Sum: sumOr(m)}
}

// sumOr is the sum of a mark, or that of no bytes for the zero Mark.
func sumOr(m checkpoint.Mark) uint64 {
	if m.Len == 0 {
		return xxhash.Sum64(nil)
	}
	return m.Sum
}

// markOf is the marker of a position that follows b.
func markOf(b []byte) checkpoint.Mark {
	b = b[max(0, len(b)-markerBytes):]
	return checkpoint.Mark{Len: len(b), Sum: xxhash.Sum64(b)}
}

// hasMarker says that the bytes of r before p are the ones that were there when p was acknowledged.
func hasMarker(r io.ReaderAt, p checkpoint.Position) bool {
	if p.Marker.Len == 0 {
		return true
	}
	if p.Marker.Len > markerBytes || int64(p.Marker.Len) > p.Offset {
		return false
	}
	var buf [markerBytes]byte
	b := buf[:p.Marker.Len]
	n, _ := r.ReadAt(b, p.Offset-int64(len(b)))
	return n == len(b) && markOf(b) == p.Marker
}

// hasBytes says that want stands in r before offset.
func hasBytes(r io.ReaderAt, offset int64, want []byte) bool {
	var buf [markerBytes]byte
	b := buf[:len(want)]
	n, _ := r.ReadAt(b, offset-int64(len(b)))
	return n == len(b) && bytes.Equal(b, want)
}

// sentMark hashes what stands in r between two offsets, or is zero when the bytes before to are not the ones that were read.
func sentMark(r io.ReaderAt, from, to int64, tail []byte) checkpoint.Mark {
	want := min(to-from, sentBytes)
	if want <= 0 {
		return checkpoint.Mark{} // of an idle file: a checkpoint must not cost more with each of them
	}
	sum, n := hashOf(r, from, want)
	if n < want || !hasBytes(r, to, tail) {
		return checkpoint.Mark{}
	}
	return checkpoint.Mark{Len: int(n), Sum: sum}
}

// hasSent says that the bytes of r after p are the ones that may have been sent when p was saved.
func hasSent(r io.ReaderAt, p checkpoint.Position) bool {
	if p.Sent.Len <= 0 {
		return true
	}
	sum, n := hashOf(r, p.Offset, int64(p.Sent.Len))
	return n == int64(p.Sent.Len) && sum == p.Sent.Sum
}

// hashOf is the xxhash64 of at most length bytes of r from off on, and how many there were.
func hashOf(r io.ReaderAt, off, length int64) (uint64, int64) {
	h := xxhash.New()
	n, _ := io.Copy(h, io.NewSectionReader(r, off, length)) // what cannot be read is missing
	return h.Sum64(), n
}
