package output

import (
	"context"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/s2"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// LokiConfig is a Grafana Loki, or what takes its push protocol.
type LokiConfig struct {
	HTTPConfig `yaml:",inline"`
	Labels     []string    `yaml:"labels,omitempty" doc:"Names that become stream labels: pod, namespace, file, level, --label names, fields. Default: file and all labels."`
	Tenant     conf.Secret `yaml:"tenant,omitempty" doc:"X-Scope-OrgID, for a Loki with tenants."`
}

// Loki pushes protobuf (logproto.PushRequest) packed with snappy to /loki/api/v1/push.
//
// Loki drops an entry that repeats the timestamp, the labels and the line of another, so a resend changes nothing.
// Records of one source and label set that follow each other share a stream.
type Loki struct {
	http   *client
	names  []string // of the labels of a stream
	chosen bool     // somebody named them: they may be fields
	labels []record.Field
	text   keys // how a record with fields is written as a line

	source  *record.Source // of the open stream, nil when labels hold a record's own values
	set     []byte         // label set of the open stream
	scratch []byte
	open    int // where the length of the open stream goes, 0 when none is
	packed  []byte
}

// Tags of logproto (github.com/grafana/loki, pkg/push/push.proto): PushRequest.streams, StreamAdapter.labels and .entries,
// EntryAdapter.timestamp and .line, Timestamp.seconds and .nanos.
const (
	lokiStream    = 1<<3 | 2
	lokiLabels    = 1<<3 | 2
	lokiEntry     = 2<<3 | 2
	lokiTimestamp = 1<<3 | 2
	lokiLine      = 2<<3 | 2
	lokiSeconds   = 1 << 3
	lokiNanos     = 2 << 3
)

// NewLoki makes the output; the network is not touched before Send.
func NewLoki(c LokiConfig, env Env) (*Loki, error) {
	headers := map[string]conf.Secret{"Content-Type": "application/x-protobuf"}
	if c.Tenant != "" {
		headers["X-Scope-OrgID"] = c.Tenant
	}
	h, err := newClient(c.HTTPConfig, "/loki/api/v1/push", headers, env)
	if err != nil {
		return nil, err
	}
	l := &Loki{http: h, chosen: c.Labels != nil, labels: env.Labels, text: keys{Message: "message", Level: "level"}}
	names := c.Labels
	if !l.chosen {
		names = []string{"file"}
		for i := range env.Labels {
			names = append(names, env.Labels[i].Name)
		}
	}
	for _, name := range names { // Loki refuses a label that is there twice
		if !slices.ContainsFunc(l.names, func(other string) bool { return lokiName(other) == lokiName(name) }) {
			l.names = append(l.names, name)
		}
	}
	return l, nil
}

// lokiName is the name of a label as Loki takes it: letters, digits and _.
func lokiName(name string) string { return string(appendLokiName(nil, name)) }

// WantsParsed says whether a label's value stands in the record itself.
func (l *Loki) WantsParsed() bool {
	return slices.ContainsFunc(l.names, func(name string) bool { return name != "file" && l.label(name) == nil })
}

// Begin starts a body.
func (l *Loki) Begin(dst []byte) []byte {
	l.open, l.source, l.set = 0, nil, l.set[:0]
	return dst
}

// End finishes a body.
func (l *Loki) End(dst []byte) []byte { return l.close(dst) }

// AppendChunk encodes the records of c as they stand.
func (l *Loki) AppendChunk(dst []byte, c *record.Chunk) ([]byte, int) {
	if l.open == 0 || l.source != c.Source {
		r := record.Record{Source: c.Source}
		dst = l.stream(dst, &r)
		l.source = c.Source
	}
	records := 0
	for k := textOf(c); ; records++ {
		line, start, ok := k.next()
		if !ok {
			return dst, records
		}
		dst = appendLokiEntry(dst, c.Time+int64(start), line)
	}
}

// AppendRecord encodes one parsed record: its message, or a JSON object when there is more than that and the labels.
func (l *Loki) AppendRecord(dst []byte, r *record.Record) []byte {
	l.source = nil
	dst = l.stream(dst, r)
	line := r.Message
	if len(r.Fields) > 0 || r.Level != "" && !slices.Contains(l.names, "level") {
		l.scratch = l.text.appendObject(l.scratch[:0], r)
		line = l.scratch
	}
	return appendLokiEntry(dst, r.Time, repaired(line))
}

// Send pushes one body.
func (l *Loki) Send(ctx context.Context, b *Batch) error {
	l.packed = s2.EncodeSnappy(l.packed[:cap(l.packed)], b.Body)
	return l.http.post(ctx, l.packed, nil)
}

// Close ends the connections.
func (l *Loki) Close() error { return l.http.close() }

// stream opens a stream for r unless the open one has its labels.
func (l *Loki) stream(dst []byte, r *record.Record) []byte {
	set := l.appendSet(l.scratch[:0], r)
	l.scratch = set
	if l.open != 0 && string(set) == string(l.set) {
		return dst
	}
	dst, l.open = openMessage(l.close(dst), lokiStream)
	l.set = append(l.set[:0], set...)
	return appendBytes(dst, lokiLabels, set)
}

func (l *Loki) close(dst []byte) []byte {
	if l.open != 0 {
		closeMessage(dst, l.open)
	}
	l.open = 0
	return dst
}

// appendSet appends the labels as Loki parses them: {file="/var/log/a.log", pod="web-1"}. It refuses a stream without any, so
// a record that has none of those that are chosen has its file.
func (l *Loki) appendSet(dst []byte, r *record.Record) []byte {
	dst = append(dst, '{')
	for _, name := range l.names {
		switch {
		case name == "file":
			dst = appendLabel(dst, name, r.Source.Path)
		case name == "level" && r.Level != "":
			dst = appendLabel(dst, name, r.Level)
		default:
			dst = appendLabel(dst, name, l.value(name, r))
		}
	}
	if dst[len(dst)-1] == '{' {
		dst = appendLabel(dst, "file", r.Source.Path)
	}
	return append(dst, '}')
}

func (l *Loki) value(name string, r *record.Record) []byte {
	if f := r.Field(name); f != nil && l.chosen {
		return f.Value
	}
	if f := l.label(name); f != nil {
		return f.Value
	}
	return nil
}

func (l *Loki) label(name string) *record.Field {
	for i := range l.labels {
		if l.labels[i].Name == name {
			return &l.labels[i]
		}
	}
	return nil
}

// appendLabel appends one label. Loki refuses empty values.
func appendLabel[T string | []byte](dst []byte, name string, value T) []byte {
	if len(value) == 0 {
		return dst
	}
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ", "...)
	}
	dst = append(appendLokiName(dst, name), '=')
	if text := string(value); utf8.ValidString(text) {
		return strconv.AppendQuote(dst, text)
	}
	return strconv.AppendQuote(dst, strings.ToValidUTF8(string(value), string(utf8.RuneError)))
}

func appendLokiName(dst []byte, name string) []byte {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// appendLokiEntry appends one EntryAdapter.
func appendLokiEntry(dst []byte, nano int64, line []byte) []byte {
	second, rest := floorSecond(nano)
	stamp := 1 + varintSize(int(second)) + 1 + varintSize(int(rest))
	dst = appendLength(dst, lokiEntry, bytesSize(stamp)+bytesSize(len(line)))
	dst = appendLength(dst, lokiTimestamp, stamp)
	dst = binary.AppendUvarint(append(dst, lokiSeconds), uint64(second))
	dst = binary.AppendUvarint(append(dst, lokiNanos), uint64(rest))
	return appendBytes(dst, lokiLine, line)
}
