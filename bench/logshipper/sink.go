package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// sink takes what every contender sends, unpacks it, and counts the records by their mark.
type sink struct {
	*httptest.Server
	mark    []byte
	records atomic.Int64
	wire    atomic.Int64 // bytes of bodies
	bad     atomic.Int64 // bodies that could not be unpacked

	mu    sync.Mutex
	waits []time.Duration // from the time that a line carries after stampMark
}

// stampMark stands in front of the Unix nanoseconds at which a line was written, 19 digits.
const stampMark = "stamp="

func newSink(mark string) *sink {
	s := &sink{mark: []byte(mark)}
	s.Server = httptest.NewServer(s)
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	now := time.Now().UnixNano()
	s.wire.Add(int64(len(body)))
	if body, err = unpack(r, body); err != nil {
		s.bad.Add(1)
	}
	s.stamps(body, now)
	s.records.Add(int64(bytes.Count(body, s.mark)))
	switch {
	case strings.HasSuffix(r.URL.Path, "_bulk"):
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"took":1,"errors":false,"items":[]}`)
	case strings.HasSuffix(r.URL.Path, "/v1/logs"):
		w.Header().Set("Content-Type", "application/x-protobuf")
	}
}

// unpack looks at the body itself, because some clients say nothing in the headers.
func unpack(r *http.Request, body []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(body, []byte("\x28\xb5\x2f\xfd")):
		d, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return io.ReadAll(d)
	case bytes.HasPrefix(body, []byte("\x1f\x8b")):
		d, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(d)
	case strings.HasPrefix(r.URL.Path, "/loki/"):
		return snappy.Decode(nil, body)
	default:
		return body, nil
	}
}

func (s *sink) stamps(body []byte, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		_, rest, ok := bytes.Cut(body, []byte(stampMark))
		if !ok || len(rest) < 19 {
			return
		}
		if at, err := strconv.ParseInt(string(rest[:19]), 10, 64); err == nil {
			s.waits = append(s.waits, time.Duration(now-at))
		}
		body = rest
	}
}

// await returns when all records are there, or none has come for a while.
func (s *sink) await(records int, patience time.Duration) error {
	last, since := int64(-1), time.Now()
	for {
		n := s.records.Load()
		switch {
		case n >= int64(records):
			return nil
		case n != last:
			last, since = n, time.Now()
		case time.Since(since) > patience:
			return fmt.Errorf("%d of %d records arrived, %d bodies were damaged", n, records, s.bad.Load())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// discard is a sink as a process of its own: it says where it is and takes everything.
func discard([]string) error {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	fmt.Println(s.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}
