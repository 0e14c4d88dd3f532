package output

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/backoff"
)

const (
	defaultAckTimeout = 3 * time.Minute
	ackPollFirst      = 100 * time.Millisecond
	ackPollMost       = 5 * time.Second
)

// indexers tell when what the collector has taken is on their disks (Splunk, "About HTTP Event Collector Indexer
// Acknowledgment"). IDs are those of a channel, of which each process has one.
type indexers struct {
	http    *client
	url     string
	timeout time.Duration
}

// newChannel is a random UUID (RFC 9562, 5.4).
func newChannel() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func newIndexers(h *client, channel string, timeout time.Duration) (*indexers, error) {
	u, err := url.Parse(h.url)
	if err != nil {
		return nil, fmt.Errorf("parse url: %w", err)
	}
	u.Path = path.Join(path.Dir(u.Path), "ack")
	query := u.Query()
	query.Set("channel", channel)
	u.RawQuery = query.Encode()
	if timeout <= 0 {
		timeout = defaultAckTimeout
	}
	return &indexers{http: h, url: u.String(), timeout: timeout}, nil
}

// await asks until the batch is indexed. Errors of a question are no answer: it is asked again until the time is over, and
// then the batch is sent again.
func (x *indexers) await(ctx context.Context, taken hecAnswer) error {
	if taken.Ack == nil {
		return &Retryable{Reason: "ack", Err: errors.New("the answer has no ackId (enable indexer acknowledgement for the token)")}
	}
	limited, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	var last error
	for wait := ackPollFirst; ; wait = min(2*wait, ackPollMost) {
		indexed, err := x.ask(limited, *taken.Ack)
		if indexed {
			return nil
		}
		if err != nil {
			last = err
		}
		if backoff.Sleep(limited, wait) != nil {
			return &Retryable{Reason: "ack", Err: errors.Join(fmt.Errorf("not indexed within %s", x.timeout), last)}
		}
	}
}

func (x *indexers) ask(ctx context.Context, id int64) (indexed bool, err error) {
	question := fmt.Appendf(nil, `{"acks":[%d]}`, id)
	err = x.http.do(ctx, http.MethodPost, x.url, question, func(*http.Request) error { return nil }, func(body []byte) error {
		var answer struct {
			Acks map[string]bool `json:"acks"`
		}
		err := json.Unmarshal(body, &answer)
		indexed = answer.Acks[fmt.Sprint(id)]
		return err
	})
	return indexed, err
}
