package output

import (
	"context"
	"io"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// Stdout writes each record as one line: as it stands, or its message when it was parsed.
// A record is acknowledged when write(2) has taken it.
type Stdout struct{ w io.Writer }

// NewStdout writes to w, which is os.Stdout outside tests.
func NewStdout(w io.Writer) *Stdout { return &Stdout{w: w} }

// Begin starts a body.
func (*Stdout) Begin(dst []byte) []byte { return dst }

// End finishes a body.
func (*Stdout) End(dst []byte) []byte { return dst }

// AppendChunk copies the lines and completes the last one.
func (*Stdout) AppendChunk(dst []byte, c *record.Chunk) ([]byte, int) {
	dst = append(dst, c.Data...)
	if n := len(c.Data); n > 0 && c.Data[n-1] != '\n' {
		dst = append(dst, '\n')
	}
	return dst, c.Count()
}

// AppendRecord writes the record's message as one line.
func (*Stdout) AppendRecord(dst []byte, r *record.Record) []byte {
	return append(append(dst, r.Message...), '\n')
}

// Send writes the body.
func (s *Stdout) Send(_ context.Context, b *Batch) error {
	if _, err := s.w.Write(b.Body); err != nil {
		return &Retryable{Reason: "write", Err: err}
	}
	return nil
}

// Close does nothing: the stream is not ours.
func (*Stdout) Close() error { return nil }
