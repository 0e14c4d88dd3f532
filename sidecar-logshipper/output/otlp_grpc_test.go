package output

import (
	"encoding/base64"
	"errors"
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// retryDelay is a google.rpc.Status whose second detail is a RetryInfo, as a server puts it into the trailer.
func retryDelay(seconds, nanos uint64) string {
	delay := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), seconds)
	delay = protowire.AppendVarint(protowire.AppendTag(delay, 2, protowire.VarintType), nanos)
	text := func(b []byte, n protowire.Number, v string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
	}
	status := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 14)
	status = text(status, 2, "busy")
	status = text(status, 3, string(text(text(nil, 1, "type.googleapis.com/google.rpc.DebugInfo"), 2, "")))
	status = text(status, 3, string(text(text(nil, 1, "type.googleapis.com/google.rpc.RetryInfo"), 2, string(text(nil, 1, string(delay))))))
	return base64.RawStdEncoding.EncodeToString(status)
}

func TestGRPCStatus_OnlyARefusalOfTheVeryBodyIsFinal(t *testing.T) {
	for code, want := range map[string]string{
		"1": "timeout", "2": "status", "4": "timeout", "5": "status", "7": "auth", "8": "429", "9": "status", "10": "status",
		"11": "status", "12": "status", "13": "status", "14": "5xx", "15": "status", "16": "auth", "": "status", "x": "status",
	} {
		retry, ok := errors.AsType[*Retryable](grpcError(http.Header{"Grpc-Status": {code}}))
		if !ok || retry.Reason != want {
			t.Errorf("status %q: %+v, want to retry for %s", code, retry, want)
		}
	}
	if err := grpcError(http.Header{"Grpc-Status": {"0"}}); err != nil {
		t.Error(err)
	}
	if _, ok := errors.AsType[*Rejected](grpcError(http.Header{"Grpc-Status": {"3"}})); !ok {
		t.Error("INVALID_ARGUMENT is no refusal")
	}
	large := http.Header{"Grpc-Status": {"8"}, "Grpc-Message": {"grpc: received message larger than max (5 vs. 4)"}}
	if _, ok := errors.AsType[*TooLarge](grpcError(large)); !ok {
		t.Error("a message beyond the server's limit is not too large")
	}
}

func TestGRPCStatus_TellsHowLongTheServerWantsToBeLeftAlone(t *testing.T) {
	for details, want := range map[string]time.Duration{
		retryDelay(3, 5e8): 3500 * time.Millisecond, retryDelay(1<<40, 0): time.Hour, "": 0, "%%%": 0, "AAAA": 0,
	} {
		retry, _ := errors.AsType[*Retryable](grpcError(http.Header{"Grpc-Status": {"14"}, "Grpc-Status-Details-Bin": {details}}))
		if retry.After != want {
			t.Errorf("%q: %s, want %s", details, retry.After, want)
		}
	}
}

func TestOTLP_AGRPCURLIsChecked(t *testing.T) {
	for url, fine := range map[string]bool{"grpc://otel:4317": true, "grpcs://otel": true, "grpc://": false, "tcp://otel": false} {
		var p conf.Problems
		c := otlpOf(HTTPConfig{URL: url})
		if c.Validate(&p, "outputs[0]"); (len(p.List) == 0) != fine {
			t.Errorf("%s: %v", url, p.List)
		}
	}
}

func FuzzEachField(f *testing.F) {
	status, _ := base64.RawStdEncoding.DecodeString(retryDelay(1, 2))
	f.Add(status)
	f.Fuzz(func(t *testing.T, message []byte) {
		total := 0
		_ = eachField(message, func(_ int, _ uint64, v []byte) { total += len(v) })
		if total > len(message) {
			t.Errorf("%d bytes of %d", total, len(message))
		}
		_ = retryInfo(base64.RawStdEncoding.EncodeToString(message))
	})
}
