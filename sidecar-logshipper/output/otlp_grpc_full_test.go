//go:build full

package output

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// fullRows are the rows that only the program with everything has.
func fullRows() []httpRow { return []httpRow{{"otlp over grpc", overGRPCOf, readOTLP, nil, true}} }

func overGRPCOf(h HTTPConfig) Config {
	h.URL = strings.Replace(h.URL, "http", "grpc", 1)
	return otlpOf(h)
}

// callee answers every call with a status, in the trailer or, without a message, in the header.
func callee(t *testing.T, inTrailer bool, message string, status map[string]string) *shipper {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		prefix := ""
		if inTrailer {
			prefix = http.TrailerPrefix
		}
		for name, value := range status {
			w.Header().Set(prefix+name, value)
		}
		_, _ = w.Write([]byte(message))
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return open(t, overGRPCOf(HTTPConfig{URL: s.URL}))
}

func TestFull_GRPCStatusIsReadFromTheTrailerOrTheHeader(t *testing.T) {
	for _, inTrailer := range []bool{true, false} {
		out := callee(t, inTrailer, "", map[string]string{"Grpc-Status": "3", "Grpc-Message": "bad%20record"})
		if err, ok := errors.AsType[*Rejected](out.send(t.Context(), numbered(2))); !ok || !strings.Contains(err.Error(), "bad record") {
			t.Errorf("in the trailer %v: %v", inTrailer, err)
		}
	}
}

func TestFull_GRPCPartialSuccessIsBisected(t *testing.T) {
	answer := exportAnswer(1, "too old")
	message := "\x00\x00\x00\x00" + string(rune(len(answer))) + string(answer)
	out := callee(t, true, message, map[string]string{"Grpc-Status": "0"})
	if err, ok := errors.AsType[*Rejected](out.send(t.Context(), numbered(2))); !ok || !strings.Contains(err.Error(), "1 of 2 records refused: too old") {
		t.Errorf("%v", err)
	}
}

func TestFull_GRPCAnswersThatAreNoneAreNoAcknowledgement(t *testing.T) {
	for name, c := range map[string]struct{ message, status string }{
		"no status":     {"\x00\x00\x00\x00\x00", ""},
		"no message":    {"", "0"},
		"half a prefix": {"\x00\x00", "0"},
		"cut short":     {"\x00\x00\x00\x00\x09abc", "0"},
	} {
		status := map[string]string{}
		if c.status != "" {
			status["Grpc-Status"] = c.status
		}
		if err, ok := errors.AsType[*Retryable](callee(t, true, c.message, status).send(t.Context(), numbered(1))); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFull_GRPCAnswersArePackedAsTheyWereAsked(t *testing.T) {
	for _, compression := range []string{"gzip", "zstd"} {
		p, err := newPacker(compression)
		if err != nil {
			t.Fatal(err)
		}
		packed, encoding := p.pack(exportAnswer(2, "late"))
		message := append([]byte{1, 0, 0, 0, byte(len(packed))}, packed...)
		got, err := readMessage(message, encoding)
		if n, text := partialSuccess(got); err != nil || n != 2 || text != "late" {
			t.Errorf("%s: %d %q %v", compression, n, text, err)
		}
		for _, broken := range [][]byte{message[:len(message)-1], append([]byte{2}, message[1:]...), {1, 0, 0, 0, 1, 'x'}} {
			if _, err := readMessage(broken, encoding); err == nil {
				t.Errorf("%s: %q was read", compression, broken)
			}
		}
	}
	if _, err := readMessage([]byte{1, 0, 0, 0, 1, 'x'}, "br"); err == nil {
		t.Error("an encoding that nobody asked for was read")
	}
}
