package output

import (
	"bytes"
	"context"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// JSONConfig is any HTTP endpoint that takes JSON.
type JSONConfig struct {
	HTTPConfig `yaml:",inline"`
	Format     string `yaml:"format,omitempty" enum:"jsonl,array" doc:"One object a line (default), or one JSON array a request."`
	EventID    bool   `yaml:"event_id,omitempty" doc:"Adds event_id, by which a receiver can tell a resend."`
}

// HTTP posts one JSON object for each record: time, level, message, fields, file and labels. A line that is a JSON object
// passes as the app wrote it, with file and labels in front of its members.
type HTTP struct {
	jsonLines
	http  *client
	array bool
}

// NewHTTP makes the output; the network is not touched before Send.
func NewHTTP(c JSONConfig, env Env) (*HTTP, error) {
	h := &HTTP{array: c.Format == "array"}
	kind, end := "application/x-ndjson", "\n"
	if h.array {
		kind, end = "application/json", ",\n"
	}
	k := defaultKeys(env)
	if c.EventID {
		k.ID = "event_id"
	}
	h.layout = func(s *record.Source) layout { return k.plain(s, true, end) }
	h.shaped = func(dst []byte, r *record.Record) []byte { return append(k.appendObject(dst, r), end...) }
	var err error
	h.http, err = newClient(c.HTTPConfig, "/", map[string]conf.Secret{"Content-Type": conf.Secret(kind)}, env)
	return h, err
}

// defaultKeys are the names that this project uses where a destination does not prescribe any.
func defaultKeys(env Env) *keys {
	return &keys{Time: "time", Level: "level", Message: "message", File: "file", clock: rfc3339(), labels: env.Labels}
}

// Begin starts a body.
func (h *HTTP) Begin(dst []byte) []byte {
	if h.array {
		return append(dst, '[')
	}
	return dst
}

// End finishes a body.
func (h *HTTP) End(dst []byte) []byte {
	if h.array {
		return append(bytes.TrimSuffix(dst, []byte(",\n")), ']')
	}
	return dst
}

// Send posts one body.
func (h *HTTP) Send(ctx context.Context, b *Batch) error { return h.http.post(ctx, b.Body, nil) }

// Close ends the connections.
func (h *HTTP) Close() error { return h.http.close() }
