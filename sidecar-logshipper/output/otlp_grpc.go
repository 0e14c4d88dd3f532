package output

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// exporter is how OTLP sends a body and gets the answer, an ExportLogsServiceResponse.
type exporter interface {
	export(ctx context.Context, body []byte) (answer []byte, err error)
}

// exportPath is the method of opentelemetry.proto.collector.logs.v1.LogsService.
const exportPath = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"

// overGRPC says that raw is a grpc:// or grpcs:// URL, and turns it into the http:// or https:// one beneath.
func overGRPC(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "grpc" && u.Scheme != "grpcs" {
		return raw, false
	}
	u.Scheme = map[string]string{"grpc": "http", "grpcs": "https"}[u.Scheme]
	return u.String(), true
}

// export posts over HTTP.
func (c *client) export(ctx context.Context, body []byte) (answer []byte, err error) {
	err = c.post(ctx, body, func(body []byte) error { answer = body; return nil })
	return answer, err
}

func grpcHeaders(compression string) map[string]conf.Secret {
	headers := map[string]conf.Secret{"Content-Type": "application/grpc", "TE": "trailers"}
	if compression != "" && compression != "none" {
		headers["Grpc-Encoding"] = conf.Secret(compression)
	}
	return headers
}

// Status codes (google.golang.org/grpc/codes, and which of them OTLP says to retry).
const (
	grpcCancelled       = 1
	grpcInvalidArgument = 3
	grpcDeadline        = 4
	grpcPermission      = 7
	grpcExhausted       = 8
	grpcUnavailable     = 14
	grpcUnauthenticated = 16
)

// grpcError classifies a status as statusError does one of HTTP: only a refusal of this very body is final.
func grpcError(status http.Header) error {
	text := status.Get("Grpc-Status")
	code, err := strconv.Atoi(text)
	if err != nil {
		return &Retryable{Reason: "status", Err: fmt.Errorf("the answer has no grpc-status: %.40q", text)}
	}
	if code == 0 {
		return nil
	}
	message, err := url.PathUnescape(status.Get("Grpc-Message"))
	if err != nil {
		message = status.Get("Grpc-Message")
	}
	err = fmt.Errorf("grpc status %d: %s", code, brief([]byte(message)))
	switch {
	case code == grpcInvalidArgument:
		return &Rejected{Err: err}
	case code == grpcExhausted && strings.Contains(message, "larger than max"): // what grpc-go says of a message beyond its limit
		return &TooLarge{Err: err}
	}
	reason := "status"
	switch code {
	case grpcExhausted:
		reason = "429"
	case grpcUnavailable:
		reason = "5xx"
	case grpcCancelled, grpcDeadline:
		reason = "timeout"
	case grpcPermission, grpcUnauthenticated:
		reason = "auth"
	}
	return &Retryable{Reason: reason, After: retryInfo(status.Get("Grpc-Status-Details-Bin")), Err: err}
}

// retryInfo is the delay in a google.rpc.Status, which OTLP servers send with throttling; 0 when there is none.
func retryInfo(encoded string) (after time.Duration) {
	status, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil {
		return 0
	}
	_ = eachField(status, func(number int, _ uint64, detail []byte) { // Status.details = 3
		if number != 3 {
			return
		}
		var kind, value []byte
		_ = eachField(detail, func(number int, _ uint64, v []byte) { // Any.type_url = 1, value = 2
			if number == 1 {
				kind = v
			} else if number == 2 {
				value = v
			}
		})
		if !strings.HasSuffix(string(kind), "/google.rpc.RetryInfo") {
			return
		}
		_ = eachField(value, func(number int, _ uint64, delay []byte) { // RetryInfo.retry_delay = 1
			if number == 1 {
				after = duration(delay)
			}
		})
	})
	return max(0, min(after, time.Hour))
}

// duration reads a google.protobuf.Duration.
func duration(message []byte) (d time.Duration) {
	_ = eachField(message, func(number int, v uint64, _ []byte) {
		switch number {
		case 1:
			d += time.Duration(min(v, 1<<31)) * time.Second
		case 2:
			d += time.Duration(min(v, 1e9))
		}
	})
	return d
}

// eachField calls each with the number and the value of every field of a message: of varints and of bytes, others are skipped.
func eachField(message []byte, each func(number int, varint uint64, bytes []byte)) error {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return errors.New("read protobuf: tag")
		}
		message = message[n:]
		size := 0
		switch tag & 7 {
		case 0, 2:
			v, n := binary.Uvarint(message)
			if n <= 0 || tag&7 == 2 && v > uint64(len(message)-n) {
				return errors.New("read protobuf: length")
			}
			size = n
			if tag&7 == 0 {
				each(int(tag>>3), v, nil)
				break
			}
			size += int(v)
			each(int(tag>>3), 0, message[n:size])
		case 1:
			size = 8
		case 5:
			size = 4
		default:
			return errors.New("read protobuf: wire type")
		}
		if size > len(message) {
			return errors.New("read protobuf: truncated")
		}
		message = message[size:]
	}
	return nil
}
