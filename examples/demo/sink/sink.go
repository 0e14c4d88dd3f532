// Package sink is the log receiver of the example Pods: it takes newline-delimited JSON over HTTP and counts how
// often it has seen each line, by the run and the sequence number that the application wrote into it. So it knows
// which lines are missing and which came twice. A switch turns it off for a while.
package sink

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/pod-helpers/pod-helpers/examples/demo/flags"
	"github.com/pod-helpers/pod-helpers/examples/demo/serve"
)

const (
	maxLineBytes = 1 << 20
	maxSeq       = 100 << 20 // a wrong number must not make the table eat the memory
)

// Counts is what GET /counts answers, of the runs whose names begin with ?run=, together.
type Counts struct {
	Lines      int64  `json:"lines"`      // received, repeated ones included
	Distinct   int64  `json:"distinct"`   // received at least once
	Duplicates int64  `json:"duplicates"` // received again
	Missing    int64  `json:"missing"`    // below the highest sequence number, and not received
	OutOfOrder int64  `json:"outOfOrder"` // first seen after a later one
	Unnumbered int64  `json:"unnumbered"` // lines without run and seq
	Requests   int64  `json:"requests"`   // taken
	Refused    int64  `json:"refused"`    // answered with 503 while switched off
	Last       string `json:"last"`       // message of the line with the highest sequence number
}

// Main serves until ctx ends.
func Main(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("demo sink", flag.ContinueOnError)
	listen := fs.String("listen", ":9428", "`address` of POST /ingest, GET /counts, POST /outage?on=true")
	if err := flags.Parse(fs, args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	return serve.Until(ctx, listener, &http.Server{Handler: New()})
}

// New returns an empty receiver.
func New() http.Handler {
	s := &sink{runs: map[string]*run{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ingest", s.ingest)
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, r *http.Request) {
		serve.JSON(w, s.counts(r.URL.Query().Get("run")))
	})
	mux.HandleFunc("POST /outage", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.off = r.URL.Query().Get("on") == "true"
	})
	return mux
}

type sink struct {
	mu                            sync.Mutex
	off                           bool
	runs                          map[string]*run
	requests, refused, unnumbered int64
}

// run is one run of an application. seen[n] is how often line n+1 came, at most 255 times.
type run struct {
	seen              []uint8
	lines, outOfOrder int64
	last              string
}

func (s *sink) ingest(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	off := s.off
	if off {
		s.refused++
	}
	s.mu.Unlock()
	if off {
		http.Error(w, "switched off", http.StatusServiceUnavailable)
		return
	}
	body := io.Reader(r.Body)
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	default:
		http.Error(w, "content encoding "+encoding, http.StatusUnsupportedMediaType)
		return
	}
	if err := s.take(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// take counts a whole batch or, when it is broken, nothing of it.
func (s *sink) take(body io.Reader) error {
	var batch []record
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 64<<10), maxLineBytes)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		r, err := parse(lines.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", len(batch)+1, err)
		}
		batch = append(batch, r)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	for _, r := range batch {
		s.count(r)
	}
	return nil
}

type record struct {
	Run     string `json:"run"`
	Seq     int64  `json:"seq"`
	Msg     string `json:"msg"`
	Message string `json:"message"`
}

// parse reads one received line: the application's own fields, or a record whose message is the application's line.
func parse(line []byte) (record, error) {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return r, err
	}
	if r.Run == "" && len(r.Message) > 0 && r.Message[0] == '{' {
		var inner record
		if json.Unmarshal([]byte(r.Message), &inner) == nil {
			return inner, nil
		}
	}
	return r, nil
}

func (s *sink) count(r record) {
	if r.Run == "" || r.Seq < 1 || r.Seq > maxSeq {
		s.unnumbered++
		return
	}
	of := s.runs[r.Run]
	if of == nil {
		of = &run{}
		s.runs[r.Run] = of
	}
	of.lines++
	if int64(len(of.seen)) < r.Seq {
		of.seen = append(of.seen, make([]uint8, r.Seq-int64(len(of.seen)))...)
		of.last = r.Msg + r.Message
	} else if of.seen[r.Seq-1] == 0 {
		of.outOfOrder++
	}
	if of.seen[r.Seq-1] < 255 {
		of.seen[r.Seq-1]++
	}
}

func (s *sink) counts(name string) Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := Counts{Requests: s.requests, Refused: s.refused, Unnumbered: s.unnumbered}
	for n, of := range s.runs {
		if !strings.HasPrefix(n, name) {
			continue
		}
		c.Lines += of.lines
		c.OutOfOrder += of.outOfOrder
		c.Last = of.last
		for _, times := range of.seen {
			if times == 0 {
				c.Missing++
				continue
			}
			c.Distinct++
		}
	}
	c.Duplicates = c.Lines - c.Distinct
	return c
}
