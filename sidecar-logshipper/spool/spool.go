// Package spool puts streams on disk before anything else is done with them: what came through a pipe or a socket cannot be
// read a second time, and must survive a kill and a destination that is away.
//
// A spool is a directory of numbered segments. A segment is an ordinary log file, NUMBER.log, so that it is followed like any
// other file; beside it NUMBER.crc holds a frame for each append, the length and the CRC-32C of what was added, written
// before it. After a crash the last segment is cut behind its last good frame. A segment that every output has
// acknowledged is removed.
package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	segmentBytes = 16 << 20
	frameBytes   = 8                      // two little-endian uint32: the length, the CRC-32C
	syncAfter    = 200 * time.Millisecond // from a write to its fsync, at most
	segmentsLeft = 4                      // that fit the bound, at least: only whole segments are given free
)

// ErrFull means that the bound is reached: again when Release has given space free.
var ErrFull = errors.New("spool is full")

// Spool is the segments of one stream. Safe for concurrent use.
type Spool struct {
	dir   string
	limit int64 // bytes, of all segments

	mu      sync.Mutex
	number  int      // of the last segment
	log     *os.File // nil: none is open
	sums    *os.File
	size    int64         // of the open segment
	frames  int64         // in it
	closed  map[int]int64 // sizes of the segments that are complete
	used    int64         // all of them together
	syncing bool
	freed   chan struct{} // closed and replaced by Release
}

// Open takes up the segments in dir, which it makes if need be. torn is how many bytes were cut off because a crash left
// them incomplete.
func Open(dir string, limit int64) (s *Spool, torn int64, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, 0, fmt.Errorf("make spool: %w", err)
	}
	s = &Spool{dir: dir, limit: limit, closed: map[int]int64{}, freed: make(chan struct{})}
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return nil, 0, fmt.Errorf("list spool: %w", err)
	}
	for _, name := range names { // in order: the numbers have leading zeros
		if _, err := fmt.Sscanf(filepath.Base(name), "%d.log", &s.number); err != nil {
			continue
		}
		st, err := os.Stat(name)
		if err != nil {
			return nil, 0, fmt.Errorf("open spool: %w", err)
		}
		s.closed[s.number] = st.Size()
		s.used += st.Size()
	}
	if s.number > 0 {
		if torn, err = s.cut(); err != nil {
			return nil, 0, fmt.Errorf("repair spool: %w", err)
		}
	}
	return s, torn, nil
}

// Dir is where the spool of a stream lives below the state directory.
func Dir(state, stream string) string { return filepath.Join(state, "spool", url.PathEscape(stream)) }

// Glob matches the segments in dir.
func Glob(dir string) string { return filepath.Join(dir, "*.log") }

func (s *Spool) path(number int, kind string) string {
	return filepath.Join(s.dir, fmt.Sprintf("%08d.%s", number, kind))
}

// cut shortens the last segment to its good frames.
func (s *Spool) cut() (torn int64, err error) {
	name := s.path(s.number, "log")
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sums, err := os.ReadFile(s.path(s.number, "crc"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	good := intact(f, sums)
	torn = s.closed[s.number] - good
	if torn <= 0 {
		return 0, nil
	}
	s.closed[s.number] = good
	s.used -= torn
	return torn, f.Truncate(good)
}

// intact is how many bytes of data the frames vouch for.
func intact(data io.ReaderAt, frames []byte) (good int64) {
	var buf []byte
	for ; len(frames) >= frameBytes; frames = frames[frameBytes:] {
		n := int(binary.LittleEndian.Uint32(frames))
		if n > maxLine+1 {
			return good
		}
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		if got, _ := data.ReadAt(buf[:n], good); got < n || crc32.Checksum(buf[:n], castagnoli()) != binary.LittleEndian.Uint32(frames[4:]) {
			return good
		}
		good += int64(n)
	}
	return good
}

// castagnoli is made once by the standard library.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Append adds whole lines. When it returns they survive the process, and the machine within 200 ms. ErrFull and the errors of
// the disk leave the spool as it was. An empty spool takes more than its bound, or a long line could never pass.
func (s *Spool) Append(lines []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used > 0 && s.used+int64(len(lines)) > s.limit {
		s.close() // only complete segments are given free
		return ErrFull
	}
	if s.log != nil && s.size >= min(segmentBytes, s.limit/segmentsLeft) {
		s.close()
	}
	if s.log == nil {
		if err := s.begin(); err != nil {
			return fmt.Errorf("begin spool segment: %w", err)
		}
	}
	if err := s.write(lines); err != nil {
		// Nothing of a failed append may stay: it is made again. Where even that fails the CRC cuts it after a restart.
		return fmt.Errorf("write spool: %w", errors.Join(err, s.log.Truncate(s.size), s.sums.Truncate(s.frames*frameBytes)))
	}
	s.size += int64(len(lines))
	s.used += int64(len(lines))
	s.frames++
	if !s.syncing {
		s.syncing = true
		time.AfterFunc(syncAfter, s.sync)
	}
	return nil
}

// write puts the frame first: bytes that somebody has read are always vouched for.
func (s *Spool) write(lines []byte) error {
	var frame [frameBytes]byte
	binary.LittleEndian.PutUint32(frame[:], uint32(len(lines)))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(lines, castagnoli()))
	if _, err := s.sums.WriteAt(frame[:], s.frames*frameBytes); err != nil {
		return err
	}
	_, err := s.log.WriteAt(lines, s.size)
	return err
}

func (s *Spool) begin() error {
	sums, err := os.OpenFile(s.path(s.number+1, "crc"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.path(s.number+1, "log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return errors.Join(err, sums.Close())
	}
	s.number++
	s.log, s.sums, s.size, s.frames = log, sums, 0, 0
	return nil
}

// sync ends the time in which a power cut could take what was appended.
func (s *Spool) sync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncing = false
	if s.log != nil {
		_ = errors.Join(s.sums.Sync(), s.log.Sync()) // a full or failing disk shows at the next Append
	}
}

func (s *Spool) close() {
	if s.log == nil {
		return
	}
	_ = errors.Join(s.sums.Sync(), s.log.Sync(), s.sums.Close(), s.log.Close()) // what they could not keep, the CRC finds
	s.closed[s.number], s.log, s.sums = s.size, nil, nil
}

// Release removes the complete segments of which done says that size bytes, all of them, are acknowledged and saved.
func (s *Spool) Release(done func(path string, size int64) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for number, size := range s.closed {
		name := s.path(number, "log")
		if size > 0 && !done(name, size) {
			continue
		}
		if os.Remove(name) == nil {
			_ = os.Remove(s.path(number, "crc"))
			delete(s.closed, number)
			s.used -= size
			close(s.freed)
			s.freed = make(chan struct{})
		}
	}
}

// Freed is closed when space becomes free.
func (s *Spool) Freed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freed
}

// Used is what the segments take up, in bytes.
func (s *Spool) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Close ends the open segment.
func (s *Spool) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close()
}
