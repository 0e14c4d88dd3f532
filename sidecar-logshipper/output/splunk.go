package output

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// SplunkConfig is a Splunk HTTP Event Collector.
type SplunkConfig struct {
	HTTPConfig `yaml:",inline"`
	Token      conf.Secret   `yaml:"token,omitempty" doc:"HEC token, sent as Authorization: Splunk."`
	Index      string        `yaml:"index,omitempty" doc:"Index; default is the token's."`
	SourceType string        `yaml:"sourcetype,omitempty" doc:"Source type; default is the token's."`
	Host       string        `yaml:"host,omitempty" doc:"Host; default is the label pod."`
	Ack        bool          `yaml:"ack,omitempty" doc:"Wait until the indexer has a batch on disk; the token must have indexer acknowledgement enabled."`
	AckTimeout conf.Duration `yaml:"ack_timeout,omitempty" doc:"How long the indexer may take for that before the batch is sent again; default 3m."`
}

// Splunk posts HEC events to /services/collector/event. The file is the source, labels are indexed fields.
type Splunk struct {
	jsonLines
	http *client
}

// NewSplunk makes the output; the network is not touched before Send.
func NewSplunk(c SplunkConfig, env Env) (*Splunk, error) {
	c.Compression = packing(c.Compression, c.URL, "gzip")
	headers := map[string]conf.Secret{"Content-Type": "application/json"}
	h, err := newClient(c.HTTPConfig, "/services/collector/event", headers, env)
	if err != nil {
		return nil, err
	}
	if c.Token != "" {
		h.scheme, h.token = "Splunk", c.Token
	}
	s := &Splunk{http: h}
	s.filled = true // "Event field cannot be blank"
	event := &keys{Message: "message", Level: "level", clock: epoch()}
	s.layout = func(source *record.Source) layout {
		head := c.appendEnvelope([]byte(`{"time":`+epoch().mark), env.Labels, source)
		end := []byte("}\n")
		l := layout{textEnd: append([]byte{'"'}, end...), verbatim: true, objectEnd: end}
		l.object = newHeading(append([]byte(nil), head...), epoch(), source)
		l.text = newHeading(append(head, '"'), epoch(), source)
		return l
	}
	s.shaped = func(dst []byte, r *record.Record) []byte {
		dst = event.appendTime(append(dst, `{"time":`...), r.Time)
		dst = c.appendEnvelope(dst, env.Labels, r.Source)
		if len(r.Fields) == 0 && r.Level == "" && len(r.Message) > 0 && !r.Truncated {
			dst = appendQuoted(dst, r.Message)
		} else {
			dst = event.appendObject(dst, r)
		}
		return append(dst, "}\n"...)
	}
	return s, nil
}

// appendEnvelope appends what stands between the time and the event.
func (c *SplunkConfig) appendEnvelope(dst []byte, labels []record.Field, source *record.Source) []byte {
	host := c.Host
	for i := range labels {
		if host == "" && labels[i].Name == "pod" {
			host = string(labels[i].Value)
		}
	}
	for _, member := range [][2]string{{"host", host}, {"source", source.Path}, {"sourcetype", c.SourceType}, {"index", c.Index}} {
		if member[1] != "" {
			dst = appendQuoted(appendKey(dst, member[0]), member[1])
		}
	}
	if len(labels) > 0 {
		dst = append(appendKey(dst, "fields"), '{')
		for i := range labels {
			dst = appendQuoted(appendKey(dst, labels[i].Name), labels[i].Value)
		}
		dst = append(dst, '}')
	}
	return appendKey(dst, "event")
}

// WantsParsed is true: an event's time is what it is found by.
func (*Splunk) WantsParsed() bool { return true }

// Begin starts a body.
func (*Splunk) Begin(dst []byte) []byte { return dst }

// End finishes a body.
func (*Splunk) End(dst []byte) []byte { return dst }

// hecAnswer is what the collector says about a body.
type hecAnswer struct {
	Text  string `json:"text"`
	Code  int    `json:"code"`
	Event *int   `json:"invalid-event-number"`
	Ack   *int64 `json:"ackId"`
}

// Codes of refusals that the configuration earns, not the records (Splunk, "Troubleshoot HTTP Event Collector").
const (
	hecIncorrectIndex = 7
	hecChannelMissing = 10
	hecInvalidChannel = 11
	hecAckDisabled    = 14
)

// Send posts one body.
func (s *Splunk) Send(ctx context.Context, b *Batch) error {
	_, err := s.post(ctx, b)
	return err
}

// post makes one attempt. A refusal that names the event is not bisected: the events before it have been indexed.
func (s *Splunk) post(ctx context.Context, b *Batch) (taken hecAnswer, err error) {
	err = s.http.post(ctx, b.Body, func(body []byte) error {
		_ = json.Unmarshal(body, &taken) // some that speak the protocol answer nothing
		return nil
	})
	if _, ok := errors.AsType[*Rejected](err); !ok {
		return taken, err
	}
	return taken, refusedBy(s.http.refusal, b.Records, err)
}

// refusedBy tells a refusal of the configuration, of one event, and of the batch.
func refusedBy(refusal []byte, records int, err error) error {
	var answer hecAnswer
	if json.Unmarshal(refusal, &answer) != nil {
		return err
	}
	switch answer.Code {
	case hecIncorrectIndex, hecChannelMissing, hecInvalidChannel, hecAckDisabled:
		return &Retryable{Reason: "status", Err: err}
	}
	if answer.Event == nil || *answer.Event < 0 || *answer.Event >= records {
		return err
	}
	partial := &Partial{Rejected: []RejectedItem{{Index: *answer.Event, Reason: answer.Text}}, Err: err}
	for i := *answer.Event + 1; i < records; i++ {
		partial.Retry = append(partial.Retry, i)
	}
	return partial
}

// Close ends the connections.
func (s *Splunk) Close() error { return s.http.close() }
