package tail

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
)

// open opens what a path holds, through the right inflater when it is compressed (told by its first bytes, not by its name).
// size is that of the inflated bytes. A compressed file that is not complete yet is an error.
func open(path string) (src source, size int64, compressed bool, err error) {
	return openIf(path, true)
}

// openIf refuses what is compressed unless it is to be inflated.
func openIf(path string, inflate bool) (src source, size int64, compressed bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe that has taken its place must not hold us up
	if err != nil {
		return nil, 0, false, err
	}
	var magic [4]byte
	n, _ := f.ReadAt(magic[:], 0)
	newReader := inflaterFor(magic[:n])
	if newReader == nil {
		st, err := f.Stat()
		if err == nil && !st.Mode().IsRegular() {
			err = fmt.Errorf("open %s: not a regular file", path)
		}
		if err != nil {
			return nil, 0, false, errors.Join(err, f.Close())
		}
		return f, st.Size(), false, nil
	}
	if !inflate {
		return nil, 0, true, errors.Join(fmt.Errorf("%s is compressed", path), f.Close())
	}
	in := &inflated{file: f, newReader: newReader}
	size, err = in.length()
	if err != nil {
		return nil, 0, true, errors.Join(fmt.Errorf("inflate %s: %w", path, err), f.Close())
	}
	return in, size, true, nil
}

// opened is an open file, or what an open file inflates to.
type opened struct {
	src        source
	length     int64
	compressed bool
}

// openAs opens the file that f was, wherever its name leads by now.
func openAs(f find.File, inflate bool) (opened, error) {
	src, length, compressed, err := openIf(f.Path, inflate)
	if err != nil {
		return opened{}, err
	}
	file, plain := src.(*os.File)
	if !plain {
		file = src.(*inflated).file
	}
	if st, err := find.StatOpen(file); err != nil || st.Key != f.Key {
		return opened{}, errors.Join(errors.New("replaced"), err, src.Close())
	}
	return opened{src, length, compressed}, nil
}

// duplicate is src once more, with a handle of its own.
func duplicate(src source) (source, error) {
	switch src := src.(type) {
	case *os.File:
		fd, err := unix.FcntlInt(src.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("duplicate %s: %w", src.Name(), err)
		}
		return os.NewFile(uintptr(fd), src.Name()), nil
	case *inflated:
		file, err := duplicate(src.file)
		if err != nil {
			return nil, err
		}
		return &inflated{file: file.(*os.File), newReader: src.newReader}, nil
	default:
		return src, nil
	}
}

func inflaterFor(magic []byte) func(io.Reader) (io.Reader, func(), error) {
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}): // RFC 1952 §2.3.1
		return func(r io.Reader) (io.Reader, func(), error) {
			z, err := gzip.NewReader(r)
			return z, func() {}, err
		}
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878 §3.1.1
		return func(r io.Reader) (io.Reader, func(), error) {
			z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
			if err != nil {
				return nil, nil, err
			}
			return z, z.Close, nil
		}
	}
	return nil
}

// inflated reads a compressed file by offsets of the bytes within. Reading on is cheap; going back starts over.
// Safe for concurrent use.
type inflated struct {
	file      *os.File
	newReader func(io.Reader) (io.Reader, func(), error)

	mu   sync.Mutex
	r    io.Reader
	done func()
	pos  int64
}

// ReadAt implements io.ReaderAt.
func (in *inflated) ReadAt(p []byte, off int64) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.r == nil || off < in.pos {
		if err := in.rewind(); err != nil {
			return 0, err
		}
	}
	n, err := io.CopyN(io.Discard, in.r, off-in.pos)
	in.pos += n
	if err != nil {
		return 0, err
	}
	got, err := io.ReadFull(in.r, p)
	in.pos += int64(got)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return got, err
}

func (in *inflated) rewind() error {
	in.release()
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r, done, err := in.newReader(in.file)
	if err != nil {
		return err
	}
	in.r, in.done, in.pos = r, done, 0
	return nil
}

func (in *inflated) release() {
	if in.done != nil {
		in.done()
	}
	in.r, in.done = nil, nil
}

// length inflates all of it, which also proves it whole: both formats end with a checksum.
func (in *inflated) length() (int64, error) {
	if err := in.rewind(); err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, in.r)
	in.release()
	return n, err
}

// Close implements io.Closer.
func (in *inflated) Close() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.release()
	return in.file.Close()
}
