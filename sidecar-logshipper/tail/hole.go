package tail

import (
	"bytes"
	"io"

	"golang.org/x/sys/unix"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// leastHole in bytes: text in UTF-16 has single ones that are NUL.
const leastHole = 4

// startsHole says that nothing was written where data begins: an app that writes on at its old offset after its file was
// truncated leaves such a hole, and so does a machine that went down.
func startsHole(data []byte) bool {
	return len(data) >= leastHole && data[0] == 0 && [leastHole]byte(data) == [leastHole]byte{}
}

// beforeHole is how much of data stands before a hole at the start of a line; 0 without one. Records must not depend on
// where a read happens to begin.
func beforeHole(data []byte) int {
	if bytes.IndexByte(data, 0) < 0 {
		return 0 // next to all data
	}
	return bytes.Index(data, []byte("\n\x00\x00\x00\x00")) + 1
}

// hole moves the cursor over the hole at at. There is nothing to send, but it is acknowledged in its turn. One at the end of
// the file may be filled yet: network file systems show the length before the bytes.
func (s *Set) hole(lane int, g *Generation, src source, at int64, phase int) (Segment, int, Verdict) {
	next, over := holeEnd(src, at)
	if !over && phase < phaseSettled {
		s.stuck(lane, g, next, phase)
		return Segment{}, 0, Nothing
	}
	var last [markerBytes]byte
	n, _ := src.ReadAt(last[:min(next, markerBytes)], next-min(next, markerBytes))
	seg := Segment{Generation: g, Chunk: record.Chunk{Source: g.Source, Offset: at, Next: next}, marker: markOf(last[:n])}
	s.move(lane, g, next, last[:n])
	return seg, 0, Took
}

// holeEnd is the offset of the first byte from off that is not NUL, or of the end of the file and false. Where the file
// system knows of the hole nothing of it is read (lseek(2), SEEK_DATA).
func holeEnd(src io.ReaderAt, off int64) (next int64, over bool) {
	f, sparse := src.(interface{ Fd() uintptr })
	buf, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := src.ReadAt(buf, off)
		if !bytes.Equal(buf[:n], zeros[:n]) {
			return off + int64(bytes.IndexFunc(buf[:n], func(r rune) bool { return r != 0 })), true
		}
		off += int64(n)
		if err != nil {
			return off, false
		}
		if sparse {
			off = max(off, nextData(int(f.Fd()), off))
		}
	}
}

// nextData is where the file system has something from off on: the end of the file when there is nothing.
func nextData(fd int, off int64) int64 {
	end, _ := unix.Seek(fd, 0, unix.SEEK_END) // before the question: what is written meanwhile lies behind it
	data, err := unix.Seek(fd, off, unix.SEEK_DATA)
	if err == unix.ENXIO {
		return end
	}
	return data
}
