package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// sink is a destination that takes NDJSON and misbehaves on demand.
type sink struct {
	*httptest.Server

	mu        sync.Mutex
	mode      string
	changed   chan struct{}          // closed and replaced when it is another
	got       map[string][]time.Time // by record ID: when it was taken
	order     []string               // first takes
	texts     map[string]string      // what was taken last
	accidents []time.Time            // taken, but the answer was lost
	documents map[string]bool        // _id of those that came in bulk
	open      sync.Map               // the addresses of those who are connected
}

const tooLarge = 40 << 10 // bytes that a sink in mode 413 takes

func newSink(t *testing.T) *sink {
	s := &sink{got: map[string][]time.Time{}, texts: map[string]string{}, documents: map[string]bool{}, changed: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ConnState = s.connection
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *sink) connection(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.Store(c.RemoteAddr().String(), nil)
	case http.StateClosed, http.StateHijacked:
		s.open.Delete(c.RemoteAddr().String())
	}
}

// drain waits until all that was ever sent has been taken or thrown away.
func (s *sink) drain(t *testing.T) {
	t.Helper()
	last, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	kittest.Eventually(t, 10*time.Second, func() bool { // those who wait are accepted in turn
		_, accepted := s.open.Load(last.LocalAddr().String())
		return accepted
	}, "the sink to accept connections")
	_ = last.Close()
	kittest.Eventually(t, 10*time.Second, func() bool {
		empty := true
		s.open.Range(func(any, any) bool { empty = false; return false })
		return empty
	}, "the last request to end")
}

// url is the --to that leads here.
func (s *sink) url() string { return strings.Replace(s.URL, "http://", "http+jsonl://", 1) }

func (s *sink) behave(mode string) {
	s.mu.Lock()
	s.mode = mode
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
}

// hang lets a request wait until the sink behaves otherwise, and says whether the client still does.
func (s *sink) hang(r *http.Request) bool {
	for {
		s.mu.Lock()
		mode, changed := s.mode, s.changed
		s.mu.Unlock()
		if mode != "hang" {
			return true
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return false
		}
	}
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !s.hang(r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/_bulk") && !slices.Contains([]string{"500", "429", "reset"}, s.mode) {
		s.bulk(w, body)
		return
	}
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
		s.note(rec.Message)
	}
}

// bulk answers item by item, as Elasticsearch does: a known _id is a conflict, a poisonous document is refused, and in mode
// partial every seventh is put off. What it takes it knows again by its _id, so nothing may arrive twice.
func (s *sink) bulk(w http.ResponseWriter, body []byte) {
	var items []string
	failed := false
	lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	for i := 0; i+1 < len(lines); i += 2 {
		var action struct {
			Create struct {
				ID string `json:"_id"`
			}
		}
		var doc struct{ Message string }
		if json.Unmarshal(lines[i], &action) != nil || json.Unmarshal(lines[i+1], &doc) != nil {
			http.Error(w, "malformed", http.StatusBadRequest)
			return
		}
		status, id := http.StatusCreated, action.Create.ID
		switch {
		case s.documents[id]:
			status = http.StatusConflict
		case strings.Contains(doc.Message, "POISON"):
			status = http.StatusBadRequest
		case s.mode == "partial" && i/2%7 == 3:
			status = http.StatusTooManyRequests
		default:
			s.documents[id] = true
			s.note(doc.Message)
		}
		failed = failed || status != http.StatusCreated
		items = append(items, fmt.Sprintf(`{"create":{"status":%d,"error":{"type":"t","reason":"r"}}}`, status))
	}
	if s.mode == "lost answer" {
		hangUp(w)
		return
	}
	fmt.Fprintf(w, `{"errors":%v,"items":[%s]}`, failed, strings.Join(items, ","))
}

// note remembers that a line has arrived.
func (s *sink) note(message string) {
	id, _, _ := strings.Cut(message, " ")
	if s.got[id] == nil {
		s.order = append(s.order, id)
	}
	s.got[id], s.texts[id] = append(s.got[id], time.Now()), message
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
