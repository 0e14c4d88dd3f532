package source

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/fcgi"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// application is a real FastCGI responder, Go's own.
func application(t *testing.T, network, address string, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = fcgi.Serve(l, h) }()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestFastCGI_GetsAPageWithoutAWebServer(t *testing.T) {
	long := strings.Repeat("x", 200_000) // several records
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.Path != "/status" || r.URL.RawQuery != "json&full" {
			http.Error(w, r.URL.String(), http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(long))
	}
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "fpm.sock")} {
		f := FastCGI{Network: network, Address: application(t, network, address, h), Path: "/status", Query: "json&full", Limit: 1 << 20}
		page, err := f.Fetch(t.Context(), []byte("kept"))
		if err != nil || string(page) != "kept"+long {
			t.Errorf("%s: %v, %d bytes", network, err, len(page))
		}
		f.Query = ""
		var status *StatusError
		if _, err := f.Fetch(t.Context(), nil); !errors.As(err, &status) || !strings.HasPrefix(status.Status, "404") {
			t.Errorf("%s: %v", network, err)
		}
		f.Query, f.Limit = "json&full", 1000
		if _, err := f.Fetch(t.Context(), nil); Reason(err) != "too_large" {
			t.Errorf("%s: %v", network, err)
		}
	}
}

func TestFastCGI_GivesUpWithItsContext(t *testing.T) {
	release := make(chan struct{})
	f := FastCGI{Network: "tcp", Limit: 1 << 20, Address: application(t, "tcp", "127.0.0.1:0", func(http.ResponseWriter, *http.Request) { <-release })}
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := f.Fetch(ctx, nil); Reason(err) != "timeout" {
		t.Error(err)
	}
}

func TestFastCGI_RefusesWhatIsNoReply(t *testing.T) {
	record := func(kind byte, content string) string { return string(fcgiRecord(nil, kind, []byte(content))) }
	end := record(fcgiEnd, "\x00\x00\x00\x00\x00\x00\x00\x00")
	for reply, want := range map[string]string{
		"":                                      "EOF",
		"HTTP/1.1 400 Bad Request\r\n\r\n":      "not FastCGI",
		record(fcgiStdout, "Status: 200")[:10]:  "EOF",
		record(fcgiStdout, "no headers") + end:  "no headers",
		record(fcgiStderr, "File not") + end:    "File not",
		record(fcgiEnd, "\x00\x00\x00\x00\x02"): "refused",
		record(fcgiStdout, "Status: 403 Forbidden\r\n\r\n") + end: "403 Forbidden",
	} {
		_, err := FastCGI{Limit: 1 << 20}.read(bytes.NewReader([]byte(reply)), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", reply, err, want)
		}
	}
}

func FuzzFastCGI(f *testing.F) {
	f.Add([]byte("\x01\x06\x00\x01\x00\x04\x04\x00a\r\n\rpadd\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, reply []byte) {
		page, err := FastCGI{Limit: 1000}.read(bytes.NewReader(reply), nil)
		if err == nil && len(page) > 1000 {
			t.Error("longer than the limit")
		}
	})
}
