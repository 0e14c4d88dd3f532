package spool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"
)

const (
	// maxLine is the longest line of a stream; a longer one is split.
	maxLine = 1 << 20
	// drainTime is how long a stream that is still open is read on at the end, from its last byte.
	drainTime = 50 * time.Millisecond
	retryDisk = time.Second
)

// What a stream does when its spool is full.
const (
	OnFullWait = "wait" // stop reading, so that the writer waits
	OnFullDrop = "drop" // throw away what comes, and count it
)

// reader is an open stream whose reads can be interrupted.
type reader interface {
	io.ReadCloser
	SetReadDeadline(time.Time) error
}

// pump moves whole lines from a reader into the spool until the stream ends.
type pump struct {
	spool  *Spool
	log    *slog.Logger
	wait   bool               // when the spool is full, rather than drop
	drop   func(lines []byte) // counts
	gaveUp <-chan struct{}    // closed when nobody waits for the rest any more
	failed bool               // the last append
	said   bool               // that the stream cannot be had
}

// run reads until the end of the stream, which is nil, or until ctx ends and the stream has been silent for drainTime. What
// is left then of a line without its newline is taken for a line.
func (p *pump) run(ctx context.Context, r reader) error {
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now().Add(drainTime)) })
	defer stop()
	buf := make([]byte, 0, 64<<10)
	for !p.over() {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, min(2*cap(buf), maxLine)), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n > 0 {
			buf = p.take(buf)
		}
		if n > 0 && ctx.Err() != nil {
			_ = r.SetReadDeadline(time.Now().Add(drainTime))
		}
		if err == nil {
			continue
		}
		if len(buf) > 0 {
			p.append(append(buf, '\n'))
		}
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) {
			return nil
		}
		return err
	}
	return nil
}

// over says that what is left of the stream is not waited for.
func (p *pump) over() bool {
	select {
	case <-p.gaveUp:
		return true
	default:
		return false
	}
}

// take spools the whole lines of buf and moves the rest to its start.
func (p *pump) take(buf []byte) []byte {
	if end := bytes.LastIndexByte(buf, '\n') + 1; end > 0 {
		p.append(buf[:end])
		return buf[:copy(buf, buf[end:])]
	}
	if len(buf) == maxLine {
		p.append(append(buf[:len(buf):len(buf)], '\n'))
		return buf[:0]
	}
	return buf
}

// append returns when the lines are in the spool, or are dropped.
func (p *pump) append(lines []byte) {
	for {
		freed := p.spool.Freed()
		err := p.spool.Append(lines)
		if err == nil {
			p.failed = false
			return
		}
		if p.over() || errors.Is(err, ErrFull) && !p.wait {
			p.drop(lines)
			return
		}
		if !p.failed {
			p.failed = true
			p.log.Warn("stream waits for room in its spool", "spool", p.spool.dir, "error", err)
		}
		select {
		case <-freed:
		case <-time.After(retryDisk):
		case <-p.gaveUp:
		}
	}
}
