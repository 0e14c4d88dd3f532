package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink is a destination that takes NDJSON and misbehaves on demand.
type sink struct {
	*httptest.Server

	mu        sync.Mutex
	mode      string
	got       map[string][]time.Time // by record ID: when it was taken
	order     []string               // first takes
	accidents []time.Time            // taken, but the answer was lost
}

const tooLarge = 40 << 10 // bytes that a sink in mode 413 takes

func newSink(t *testing.T) *sink {
	s := &sink{got: map[string][]time.Time{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// url is the --to that leads here.
func (s *sink) url() string { return strings.Replace(s.URL, "http://", "http+jsonl://", 1) }

func (s *sink) behave(mode string) {
	s.mu.Lock()
	s.mode = mode
	s.mu.Unlock()
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.mode {
	case "500":
		http.Error(w, "broken", http.StatusInternalServerError)
	case "429":
		http.Error(w, "busy", http.StatusTooManyRequests)
	case "413":
		if len(body) > tooLarge {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		s.take(w, body)
	case "reset":
		hangUp(w)
	case "lost answer":
		s.take(w, body)
		s.accidents = append(s.accidents, time.Now())
		hangUp(w)
	default:
		s.take(w, body)
	}
}

func hangUp(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// take refuses a body with a poisonous record in it as a whole, as most destinations do.
func (s *sink) take(w http.ResponseWriter, body []byte) {
	if bytes.Contains(body, []byte("POISON")) {
		http.Error(w, "cannot parse", http.StatusBadRequest)
		return
	}
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var rec struct{ Message string }
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		id, _, _ := strings.Cut(rec.Message, " ")
		if s.got[id] == nil {
			s.order = append(s.order, id)
		}
		s.got[id] = append(s.got[id], time.Now())
	}
}

func (s *sink) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[id] != nil
}

// missing are the IDs that were never taken.
func (s *sink) missing(ids []string) (missing []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.got[id] == nil {
			missing = append(missing, id)
		}
	}
	return missing
}
