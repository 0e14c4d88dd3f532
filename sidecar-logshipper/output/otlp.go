package output

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// OTLPConfig is a receiver of the OpenTelemetry protocol over HTTP, or gRPC where the URL is grpc:// or grpcs://.
type OTLPConfig struct {
	HTTPConfig `yaml:",inline"`
	Service    string `yaml:"service,omitempty" doc:"service.name of the resource; default the label service, else the container's or the pod's name."`
}

// OTLP exports protobuf (ExportLogsServiceRequest) to /v1/logs, or by gRPC. Labels are attributes of the resource, under their names in
// the semantic conventions where they have one; the file is an attribute of the scope; each record has its event ID as
// log.record.uid, by which a receiver can tell a resend.
type OTLP struct {
	http     *client
	exporter exporter
	resource []byte // ResourceLogs.resource, rendered once

	source       *record.Source // of the open group
	group, scope int            // where their lengths go; group 0 when none is open
	uid          [32]byte
}

// Tags of opentelemetry/proto (github.com/open-telemetry/opentelemetry-proto v1: collector/logs, logs, resource, common).
const (
	otlpResourceLogs = 1<<3 | 2 // ExportLogsServiceRequest.resource_logs
	otlpResource     = 1<<3 | 2 // ResourceLogs.resource
	otlpScopeLogs    = 2<<3 | 2 // ResourceLogs.scope_logs
	otlpAttribute    = 1<<3 | 2 // Resource.attributes
	otlpScope        = 1<<3 | 2 // ScopeLogs.scope
	otlpScopeAttr    = 3<<3 | 2 // InstrumentationScope.attributes
	otlpRecord       = 2<<3 | 2 // ScopeLogs.log_records
	otlpTime         = 1<<3 | 1 // LogRecord.time_unix_nano
	otlpSeverity     = 2 << 3   // LogRecord.severity_number
	otlpSeverityText = 3<<3 | 2 // LogRecord.severity_text
	otlpBody         = 5<<3 | 2 // LogRecord.body
	otlpRecordAttr   = 6<<3 | 2 // LogRecord.attributes
	otlpObserved     = 11<<3 | 1
	otlpKey          = 1<<3 | 2 // KeyValue.key
	otlpValue        = 2<<3 | 2 // KeyValue.value
	otlpString       = 1<<3 | 2 // AnyValue.string_value
	otlpBool         = 2 << 3   // AnyValue.bool_value
	otlpInt          = 3 << 3   // AnyValue.int_value
	otlpDouble       = 4<<3 | 1 // AnyValue.double_value
)

const otlpUID = "log.record.uid"

// The sizes of the parts of a record that never differ: both times, and the attribute with the event ID.
const (
	otlpTimes    = 2 * 9
	otlpUIDValue = 2 + 32
	otlpUIDAttr  = 2 + len(otlpUID) + 2 + otlpUIDValue
)

// NewOTLP makes the output; the network is not touched before Send.
func NewOTLP(c OTLPConfig, env Env) (*OTLP, error) {
	c.Compression = packing(c.Compression, c.URL, "gzip")
	path, headers := "/v1/logs", map[string]conf.Secret{"Content-Type": "application/x-protobuf"}
	under, grpc := overGRPC(c.URL)
	if grpc {
		c.URL, path, headers = under, exportPath, grpcHeaders(c.Compression)
	}
	h, err := newClient(c.HTTPConfig, path, headers, env)
	if err != nil {
		return nil, err
	}
	o := &OTLP{http: h, exporter: h, resource: otlpResourceOf(c.Service, env.Labels)}
	if grpc {
		if o.exporter, err = newGRPC(h); err != nil {
			return nil, errors.Join(err, h.close())
		}
	}
	return o, nil
}

// otlpResourceOf renders the resource.
func otlpResourceOf(service string, labels []record.Field) []byte {
	var attributes []byte
	named := service
	for i := range labels {
		name, value := labels[i].Name, string(labels[i].Value)
		if known, ok := otlpName(name); ok {
			name = known
		}
		if service == "" && name == "service.name" || named == "" && (name == "k8s.container.name" || name == "k8s.pod.name") {
			named = value
		}
		if name != "service.name" {
			attributes = appendAttribute(attributes, otlpAttribute, name, &labels[i])
		}
	}
	if named == "" {
		named = "unknown_service"
	}
	name := record.Field{Value: []byte(named)}
	return appendBytes(nil, otlpResource, appendAttribute(attributes, otlpAttribute, "service.name", &name))
}

// otlpName is the name of a label in the semantic conventions.
func otlpName(label string) (string, bool) {
	switch label {
	case "service":
		return "service.name", true
	case "pod", "namespace", "node", "container":
		return "k8s." + label + ".name", true
	case "pod_uid":
		return "k8s.pod.uid", true
	case "pod_ip":
		return "k8s.pod.ip", true
	default:
		return "", false
	}
}

// Begin starts a body.
func (o *OTLP) Begin(dst []byte) []byte {
	o.source, o.group = nil, 0
	return dst
}

// End finishes a body.
func (o *OTLP) End(dst []byte) []byte {
	if o.group != 0 {
		closeMessage(dst, o.scope)
		closeMessage(dst, o.group)
	}
	o.group = 0
	return dst
}

// AppendChunk encodes the records of c as they stand.
func (o *OTLP) AppendChunk(dst []byte, c *record.Chunk) ([]byte, int) {
	dst = o.use(dst, c.Source)
	records := 0
	for k := textOf(c); ; records++ {
		line, start, ok := k.next()
		if !ok {
			return dst, records
		}
		if c.Truncated {
			var r record.Record
			r.Reset(c, start, k.at)
			dst = o.AppendRecord(dst, &r)
			continue
		}
		body := bytesSize(len(line))
		dst = appendLength(dst, otlpRecord, otlpTimes+bytesSize(body)+1+varintSize(otlpUIDAttr)+otlpUIDAttr)
		nano := uint64(c.Time + int64(start))
		dst = appendFixed64(dst, otlpTime, nano)
		dst = appendLength(dst, otlpBody, body)
		dst = appendBytes(dst, otlpString, line)
		dst = o.appendUID(dst, c.Offset+int64(start))
		dst = appendFixed64(dst, otlpObserved, nano)
	}
}

// AppendRecord encodes one parsed record; its fields are attributes.
func (o *OTLP) AppendRecord(dst []byte, r *record.Record) []byte {
	dst = o.use(dst, r.Source)
	dst, at := openMessage(dst, otlpRecord)
	dst = appendFixed64(dst, otlpTime, uint64(r.Time))
	if r.Level != "" {
		dst = binary.AppendUvarint(append(dst, otlpSeverity), severityNumber(r.Level))
		dst = appendBytes(dst, otlpSeverityText, strings.ToValidUTF8(r.Level, string(utf8.RuneError)))
	}
	message := repaired(r.Message)
	dst = appendLength(dst, otlpBody, bytesSize(len(message)))
	dst = appendBytes(dst, otlpString, message)
	for i := range r.Fields {
		dst = appendAttribute(dst, otlpRecordAttr, r.Fields[i].Name, &r.Fields[i])
	}
	if r.Truncated {
		dst = appendAttribute(dst, otlpRecordAttr, "truncated", &record.Field{Value: []byte("true"), Kind: record.Bool})
	}
	dst = o.appendUID(dst, r.Offset)
	dst = appendFixed64(dst, otlpObserved, uint64(r.Time))
	closeMessage(dst, at)
	return dst
}

// use opens a group for source unless it is open.
func (o *OTLP) use(dst []byte, source *record.Source) []byte {
	if o.group != 0 && o.source == source {
		return dst
	}
	dst = o.End(dst)
	o.source = source
	putHex(o.uid[:], source.Generation)
	dst, o.group = openMessage(dst, otlpResourceLogs)
	dst = append(dst, o.resource...)
	dst, o.scope = openMessage(dst, otlpScopeLogs)
	dst, scope := openMessage(dst, otlpScope)
	path := record.Field{Value: []byte(source.Path)}
	dst = appendAttribute(dst, otlpScopeAttr, "log.file.path", &path)
	closeMessage(dst, scope)
	return dst
}

func (o *OTLP) appendUID(dst []byte, offset int64) []byte {
	putHex(o.uid[16:], uint64(offset))
	dst = append(dst, otlpRecordAttr, byte(otlpUIDAttr), otlpKey, byte(len(otlpUID)))
	dst = append(dst, otlpUID...)
	dst = append(dst, otlpValue, otlpUIDValue, otlpString, byte(len(o.uid)))
	return append(dst, o.uid[:]...)
}

// appendAttribute appends a KeyValue.
func appendAttribute(dst []byte, tag byte, name string, f *record.Field) []byte {
	dst, at := openMessage(dst, tag)
	dst = appendBytes(dst, otlpKey, strings.ToValidUTF8(name, string(utf8.RuneError)))
	dst, value := openMessage(dst, otlpValue)
	dst = appendAnyValue(dst, f)
	closeMessage(dst, value)
	closeMessage(dst, at)
	return dst
}

// appendAnyValue appends the inside of an AnyValue. Objects and arrays stay JSON text; null is an empty value.
func appendAnyValue(dst []byte, f *record.Field) []byte {
	switch f.Kind {
	case record.Null:
		return dst
	case record.Bool:
		if string(f.Value) == "true" {
			return append(dst, otlpBool, 1)
		}
		return append(dst, otlpBool, 0)
	case record.Number:
		if i, err := strconv.ParseInt(string(f.Value), 10, 64); err == nil {
			return binary.AppendUvarint(append(dst, otlpInt), uint64(i))
		}
		if v, err := strconv.ParseFloat(string(f.Value), 64); err == nil {
			return appendFixed64(dst, otlpDouble, math.Float64bits(v))
		}
	}
	return appendBytes(dst, otlpString, repaired(f.Value))
}

// severityNumber is the SeverityNumber of a level's name, 0 when it is none (opentelemetry-proto, logs.proto).
func severityNumber(level string) uint64 {
	switch level {
	case "trace":
		return 1
	case "debug":
		return 5
	case "info":
		return 9
	case "notice":
		return 10
	case "warn", "warning":
		return 13
	case "error":
		return 17
	case "critical":
		return 18
	case "fatal", "alert", "panic":
		return 21
	case "emergency":
		return 24
	default:
		return 0
	}
}

// Send posts one body. A partial success does not say which records were refused, so the batch counts as refused and is
// bisected; the records that were taken already are known by their log.record.uid.
func (o *OTLP) Send(ctx context.Context, b *Batch) error {
	answer, err := o.exporter.export(ctx, b.Body)
	if err != nil {
		return err
	}
	if rejected, message := partialSuccess(answer); rejected > 0 {
		return &Rejected{Err: fmt.Errorf("%d of %d records refused: %s", rejected, b.Records, message)}
	}
	return nil
}

// partialSuccess reads ExportLogsServiceResponse: field 1 is a message of rejected_log_records (1) and error_message (2).
func partialSuccess(answer []byte) (rejected uint64, message string) {
	if len(answer) < 2 || answer[0] != 1<<3|2 {
		return 0, ""
	}
	length, n := binary.Uvarint(answer[1:])
	if n <= 0 || length > uint64(len(answer)-1-n) {
		return 0, ""
	}
	for inner := answer[1+n : 1+n+int(length)]; len(inner) > 1; {
		v, n := binary.Uvarint(inner[1:])
		if n <= 0 {
			return rejected, message
		}
		tag := inner[0]
		inner = inner[1+n:]
		switch {
		case tag == 1<<3:
			rejected = v
		case tag == 2<<3|2 && v <= uint64(len(inner)):
			message, inner = string(inner[:v]), inner[v:]
		default:
			return rejected, message
		}
	}
	return rejected, message
}

// Close ends the connections.
func (o *OTLP) Close() error { return o.http.close() }
