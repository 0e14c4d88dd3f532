package output

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// ElasticsearchConfig is an Elasticsearch, an OpenSearch, or what takes their bulk requests.
type ElasticsearchConfig struct {
	HTTPConfig `yaml:",inline"`
	Index      string      `yaml:"index,omitempty" doc:"Index or data stream; %Y %m %d %H are taken from the record's time (UTC). Default: the path of the URL, or logs-generic-default."`
	APIKey     conf.Secret `yaml:"api_key,omitempty" doc:"The encoded API key of Authorization: ApiKey."`
	Pipeline   string      `yaml:"pipeline,omitempty" doc:"Ingest pipeline."`
}

// Elasticsearch sends bulk requests of create actions whose _id is the event ID: a resend meets itself as a conflict (409),
// which counts as taken. The answer is read item by item.
type Elasticsearch struct {
	jsonLines
	http  *client
	dated bool // the index depends on a record's time
	one   record.Record
}

const defaultIndex = "logs-generic-default"

// NewElasticsearch makes the output; the network is not touched before Send.
func NewElasticsearch(c ElasticsearchConfig, env Env) (*Elasticsearch, error) {
	base, index, err := splitIndex(c)
	if err != nil {
		return nil, err
	}
	c.URL = base
	c.Compression = packing(c.Compression, c.URL, "gzip")
	hc := withQuery(c.HTTPConfig, "filter_path", "errors,items.*.status,items.*.error")
	if c.Pipeline != "" {
		hc = withQuery(hc, "pipeline", c.Pipeline)
	}
	h, err := newClient(hc, "/_bulk", map[string]conf.Secret{"Content-Type": "application/x-ndjson"}, env)
	if err != nil {
		return nil, err
	}
	if c.APIKey != "" {
		h.scheme, h.token = "ApiKey", c.APIKey
	}
	k := defaultKeys(env)
	k.Time, k.Level, k.File = "@timestamp", "log.level", "log.file.path"
	e := &Elasticsearch{http: h, dated: strings.Contains(index, "%")}
	e.layout = func(s *record.Source) layout { return bulkLayout(k, index, s) }
	e.shaped = func(dst []byte, r *record.Record) []byte { return appendBulk(dst, k, index, r) }
	return e, nil
}

// splitIndex takes the index from the path of the URL, where a proxy's prefix may stand before it.
func splitIndex(c ElasticsearchConfig) (base, index string, err error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return "", "", fmt.Errorf("parse url: %w", err)
	}
	path := strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/_bulk")
	index = c.Index
	if cut := strings.LastIndexByte(path, '/'); index == "" && cut >= 0 && path[cut+1:] != "" && !strings.HasSuffix(u.Path, "/_bulk") {
		path, index = path[:cut], path[cut+1:]
	}
	if index == "" {
		index = defaultIndex
	}
	u.Path = path + "/_bulk"
	return u.String(), index, nil
}

// WantsParsed is true: a document's @timestamp is what it is found by.
func (*Elasticsearch) WantsParsed() bool { return true }

// Begin starts a body.
func (*Elasticsearch) Begin(dst []byte) []byte { return dst }

// End finishes a body.
func (*Elasticsearch) End(dst []byte) []byte { return dst }

// AppendChunk encodes the records of c as they stand.
func (e *Elasticsearch) AppendChunk(dst []byte, c *record.Chunk) ([]byte, int) {
	if !e.dated {
		return e.jsonLines.AppendChunk(dst, c)
	}
	records := 0
	for start, end := range c.Records() {
		e.one.Reset(c, start, end)
		dst = e.AppendRecord(dst, &e.one)
		records++
	}
	return dst, records
}

// bulkLayout is a document with its action in front.
func bulkLayout(k *keys, index string, s *record.Source) layout {
	head, tail := k.textParts(s, "\n")
	action := appendAction(nil, index, []byte(idMark))
	return layout{text: newHeading(append(action, head...), k.clock, s), textEnd: tail}
}

func appendAction(dst []byte, index string, id []byte) []byte {
	dst = appendQuoted(append(dst, `{"create":{"_index":`...), index)
	return append(append(append(dst, `,"_id":"`...), id...), "\"}}\n"...)
}

func appendBulk(dst []byte, k *keys, index string, r *record.Record) []byte {
	var id [32]byte
	dst = appendAction(dst, dated(index, r.Time), r.ID().Append(id[:0]))
	return append(k.appendObject(dst, r), '\n')
}

// dated replaces %Y, %m, %d and %H.
func dated(index string, nano int64) string {
	if !strings.Contains(index, "%") {
		return index
	}
	t := time.Unix(0, nano).UTC()
	return strings.NewReplacer("%Y", t.Format("2006"), "%m", t.Format("01"), "%d", t.Format("02"), "%H", t.Format("15")).Replace(index)
}

// Send posts one body and reads the answer item by item.
func (e *Elasticsearch) Send(ctx context.Context, b *Batch) error {
	return e.http.post(ctx, b.Body, func(answer []byte) error { return bulkError(answer, b.Records) })
}

type bulkAnswer struct {
	Errors *bool                   `json:"errors"`
	Items  []map[string]bulkStatus `json:"items"`
}

type bulkStatus struct {
	Status int `json:"status"`
	Error  struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	} `json:"error"`
}

// bulkError sorts the items of an answer into taken, to be sent again, and refused for good. An item that exists already
// (409) was taken earlier.
func bulkError(answer []byte, records int) error {
	if bytes.Contains(answer[:min(len(answer), 200)], []byte(`"errors":false`)) {
		return nil
	}
	var a bulkAnswer
	if err := json.Unmarshal(answer, &a); err != nil {
		return &Retryable{Reason: "answer", Err: fmt.Errorf("read bulk answer: %w", err)}
	}
	switch {
	case a.Errors == nil:
		return &Retryable{Reason: "answer", Err: fmt.Errorf("read bulk answer: says nothing of errors (is it an Elasticsearch?): %s", brief(answer))}
	case !*a.Errors:
		return nil
	}
	if len(a.Items) != records {
		return &Retryable{Reason: "answer", Err: fmt.Errorf("bulk answer has %d items for %d records", len(a.Items), records)}
	}
	partial := &Partial{}
	for i, item := range a.Items {
		partial.add(i, item)
	}
	if partial.Err == nil {
		return nil
	}
	return partial
}

// add sorts one item, an object with one member. What says nothing about its record is sent again.
func (p *Partial) add(i int, item map[string]bulkStatus) {
	var s bulkStatus
	for _, only := range item {
		s = only
	}
	cause, _, _ := strings.Cut(s.Error.Reason, " Preview of field's value") // reasons are logged, records never
	reason := fmt.Sprintf("%d %s: %s", s.Status, s.Error.Type, cause)
	switch {
	case s.Status >= 200 && s.Status < 300, s.Status == http.StatusConflict:
		return
	case len(item) != 1, s.Status < 200, s.Status >= 500, s.Status == http.StatusTooManyRequests, s.Status == http.StatusUnauthorized, s.Status == http.StatusForbidden,
		s.Status == http.StatusNotFound, ofIndex(s.Error.Type): // the index, which is that of all records
		p.Retry = append(p.Retry, i)
	default:
		p.Rejected = append(p.Rejected, RejectedItem{Index: i, Reason: reason})
	}
	if p.Err == nil {
		p.Err = errors.New(reason)
	}
}

// ofIndex says that a refusal with 400 is about the index and not the document.
func ofIndex(kind string) bool {
	return kind == "invalid_index_name_exception" || kind == "index_closed_exception"
}

func (c *ElasticsearchConfig) validate(p *conf.Problems, path string) {
	_, index, err := splitIndex(*c)
	if err != nil || strings.HasPrefix(index, "<") { // date math, which the server reads
		return
	}
	const forbidden = "\\/*?\"<>| ,#:" // Elasticsearch, "Create an index"
	if name := dated(index, 0); name != strings.ToLower(name) || strings.ContainsAny(name, forbidden) || strings.ContainsAny(name[:1], "-_+") {
		at := path + ".url"
		if c.Index != "" {
			at = path + ".index"
		}
		p.Add(at, fmt.Sprintf("%q is no name of an index", index), "in lower case, without \\ / * ? \" < > | , # : and spaces, and %Y %m %d %H for the date")
	}
}

// Close ends the connections.
func (e *Elasticsearch) Close() error { return e.http.close() }
