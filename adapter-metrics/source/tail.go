package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// A Tail follows one log file by its name. A file that is there when it starts is read from its end, as what it
// holds was counted before; one that appears later, from its beginning. A rename is noticed by the file's
// identity, and what the old file still gets before the new one exists is read; a truncation by the size.
type Tail struct {
	path   string
	file   *os.File
	offset int64
	rest   []byte // an unfinished line, while nobody reads
	buf    []byte
	kept   int   // bytes of an unfinished line at the start of buf
	why    error // it could not be read in the last round
	wait   int   // rounds until it is tried again
}

const (
	tailPoll       = 100 * time.Millisecond
	tailBlockBytes = 256 << 10 // and the longest line
	tailRetry      = 10        // rounds between attempts at what cannot be read
)

// OpenTail opens the file when it is there; fromStart reads also what it holds already.
func OpenTail(path string, fromStart bool) *Tail {
	t := &Tail{path: path}
	t.open(!fromStart)
	return t
}

// Run implements Follower.
func (t *Tail) Run(ctx context.Context, to Lines) {
	t.buf = make([]byte, tailBlockBytes)
	t.kept, t.rest = copy(t.buf, t.rest), nil
	defer func() { t.rest, t.buf = slices.Clone(t.buf[:t.kept]), nil }()
	tick := time.NewTicker(tailPoll)
	defer tick.Stop()
	for {
		t.attempt(to)
		select {
		case <-ctx.Done():
			t.round(to)
			return
		case <-tick.C:
		}
	}
}

// attempt is a round, unless the last one was in vain a moment ago.
func (t *Tail) attempt(to Lines) {
	if t.wait > 0 {
		t.wait--
		return
	}
	before := t.why
	t.why = nil
	if t.round(to); t.why != nil || before != nil {
		to.Unreadable(t.why)
	}
	if t.why != nil && !errors.Is(t.why, fs.ErrNotExist) {
		t.wait = tailRetry
	}
}

// round reads what is new, in the file that is open and then in the one that took its name.
func (t *Tail) round(to LineDecoder) {
	if t.file == nil {
		if t.open(false); t.file == nil {
			return
		}
	}
	t.read(to)
	here, err := os.Stat(t.path)
	if err != nil {
		return // renamed, and the new one is not there yet: the old one may still grow
	}
	open, err := t.file.Stat()
	switch {
	case err != nil || !os.SameFile(here, open):
		t.read(to) // what came between the last read and the rename
		t.flush(to)
		t.close()
		t.open(false)
		if t.file != nil {
			t.read(to)
		}
	case open.Size() < t.offset:
		t.offset, t.kept = 0, 0
		t.read(to)
	}
}

func (t *Tail) open(atEnd bool) {
	file, info, err := openRegular(t.path)
	if err != nil {
		t.why = err
		return
	}
	t.file, t.offset, t.kept = file, 0, 0
	if atEnd {
		t.offset = info.Size()
	}
}

// Close implements Follower.
func (t *Tail) Close() { t.close() }

func (t *Tail) close() {
	if t.file != nil {
		_ = t.file.Close() // only read from
		t.file = nil
	}
}

// read hands on whole lines up to the end of the file. A line that does not fit into the buffer is handed on in
// pieces, which the decoder counts as lines that it cannot read.
func (t *Tail) read(to LineDecoder) {
	for {
		n, err := t.file.ReadAt(t.buf[t.kept:], t.offset)
		t.offset += int64(n)
		have := t.buf[:t.kept+n]
		end := bytes.LastIndexByte(have, '\n') + 1
		if end == 0 && len(have) == len(t.buf) {
			end = len(have)
		}
		if end > 0 {
			to.Decode(have[:end])
		}
		t.kept = copy(t.buf, have[end:])
		if err != nil || n == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				t.why = err
			}
			return
		}
	}
}

// flush hands on the last line of a file that ends without a line feed.
func (t *Tail) flush(to LineDecoder) {
	if t.kept > 0 {
		to.Decode(t.buf[:t.kept])
		t.kept = 0
	}
}
