package output

import (
	"context"
	"io"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// StdoutConfig is the helper's own standard output.
type StdoutConfig struct {
	Format string `yaml:"format,omitempty" enum:"lines,jsonl" doc:"lines (default): each record as it stands, or its message, or a JSON object when it has fields. jsonl: always an object."`
}

// Stdout writes each record as one line. A record is acknowledged when write(2) has taken it.
type Stdout struct {
	lines
	w io.Writer
}

// NewStdout writes to env.Stdout.
func NewStdout(c StdoutConfig, env Env) *Stdout {
	return &Stdout{lines: newLines(c.Format == "jsonl", env), w: env.Stdout}
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

// lines is the encoder of what is read as text: a line for each record, or JSON lines.
type lines struct {
	objects *jsonLines // nil: text
	keys    *keys
}

func newLines(jsonl bool, env Env) lines {
	l := lines{keys: defaultKeys(env)}
	if jsonl {
		l.objects = &jsonLines{
			layout: func(s *record.Source) layout { return l.keys.plain(s, true, "\n") },
			shaped: func(dst []byte, r *record.Record) []byte { return append(l.keys.appendObject(dst, r), '\n') },
		}
	}
	return l
}

// Begin starts a body.
func (*lines) Begin(dst []byte) []byte { return dst }

// End finishes a body.
func (*lines) End(dst []byte) []byte { return dst }

// AppendChunk copies the lines and completes the last one.
func (l *lines) AppendChunk(dst []byte, c *record.Chunk) ([]byte, int) {
	if l.objects != nil {
		return l.objects.AppendChunk(dst, c)
	}
	dst = append(dst, c.Data...)
	if n := len(c.Data); n > 0 && c.Data[n-1] != '\n' {
		dst = append(dst, '\n')
	}
	return dst, c.Count()
}

// AppendRecord writes the record's message, or all of it as a JSON object.
func (l *lines) AppendRecord(dst []byte, r *record.Record) []byte {
	switch {
	case l.objects != nil:
		return l.objects.AppendRecord(dst, r)
	case len(r.Fields) > 0:
		return append(l.keys.appendObject(dst, r), '\n')
	default:
		return append(append(dst, r.Message...), '\n')
	}
}
