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
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/backoff"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

const (
	defaultAckTimeout = 3 * time.Minute
	ackPollFirst      = 100 * time.Millisecond
	ackPollMost       = 5 * time.Second
	channelHeader     = "X-Splunk-Request-Channel"
)

// SplunkAck is Splunk whose indexers tell when what the collector has taken is on their disks (Splunk, "About HTTP Event
// Collector Indexer Acknowledgment"). Several batches are out at a time, and one question asks about all of them.
type SplunkAck struct {
	*Splunk
	ackURL  url.URL
	timeout time.Duration
	line    chan struct{} // holds a token: requests take turns, on one connection, which a balancer leads to one indexer
	posted  chan struct{} // receives when something is out, of size 1
	stop    context.CancelFunc
	asking  sync.WaitGroup

	mu      sync.Mutex
	channel string // of the next batch
	first   int64  // ackId in channel
	last    int64  // -1 without one
	out     []receipt
}

// receipt is a batch that the collector has taken. IDs count from 0 in each channel, and anew when the collector starts.
type receipt struct {
	channel  string
	id       int64
	deadline time.Time
	answer   chan<- error
}

// NewSplunkAck makes the output; the network is not touched before the first batch.
func NewSplunkAck(c SplunkConfig, env Env) (*SplunkAck, error) {
	plain, err := NewSplunk(c, env)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(plain.http.url)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("parse url: %w", err), plain.Close())
	}
	u.Path = path.Join(path.Dir(u.Path), "ack")
	s := &SplunkAck{Splunk: plain, ackURL: *u, timeout: c.AckTimeout.D(), line: make(chan struct{}, 1), posted: make(chan struct{}, 1)}
	if s.timeout <= 0 {
		s.timeout = defaultAckTimeout
	}
	s.line <- struct{}{}
	s.leaveChannel()
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.asking.Go(func() { s.ask(ctx) })
	return s, nil
}

// leaveChannel lets the next batch open a channel of its own, named by a random UUID (RFC 9562, 5.4).
func (s *SplunkAck) leaveChannel() {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s.channel, s.last = fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), -1
}

// Send hands a batch over and waits until it is indexed.
func (s *SplunkAck) Send(ctx context.Context, b *Batch) error {
	answer, err := s.Hand(ctx, b)
	if err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Hand implements Deferred.
func (s *SplunkAck) Hand(ctx context.Context, b *Batch) (<-chan error, error) {
	select {
	case <-s.line:
		defer func() { s.line <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	s.http.headers[channelHeader] = conf.Secret(s.channel)
	s.mu.Unlock()
	taken, err := s.post(ctx, b)
	if err == nil && taken.Ack == nil {
		err = &Retryable{Reason: "ack", Err: errors.New("the answer has no ackId (enable indexer acknowledgement for the token)")}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if s.last >= 0 && !s.tookNothing(err) {
			// It may have taken it all the same, and after a start that nobody saw with the ID of the channel's first batch.
			s.forget(func(r receipt) bool { return r.channel == s.channel && r.id == s.first }, err)
			s.leaveChannel()
		}
		return nil, err
	}
	if *taken.Ack <= s.last {
		s.forget(func(r receipt) bool { return r.channel == s.channel }, errors.New("the collector counts from the start again, it has forgotten what it took"))
	}
	answer := make(chan error, 1)
	if s.last < 0 {
		s.first = *taken.Ack
	}
	s.last = *taken.Ack
	s.out = append(s.out, receipt{s.channel, *taken.Ack, time.Now().Add(s.timeout), answer})
	select {
	case s.posted <- struct{}{}:
	default:
	}
	return answer, nil
}

// tookNothing says that it was the collector that put the last batch off: its answers have a code.
func (s *SplunkAck) tookNothing(err error) bool {
	retry, ok := errors.AsType[*Retryable](err)
	if !ok || retry.Reason == "network" || retry.Reason == "timeout" || retry.Reason == "ack" {
		return false
	}
	var answer hecAnswer
	return json.Unmarshal(s.http.refusal, &answer) == nil && answer.Code > 0
}

// forget answers those of which lost says so.
func (s *SplunkAck) forget(lost func(receipt) bool, why error) {
	s.out = slices.DeleteFunc(s.out, func(r receipt) bool {
		if !lost(r) {
			return false
		}
		r.answer <- &Retryable{Reason: "ack", Err: why}
		return true
	})
}

// ask asks about what is out until ctx ends, more seldom while nothing is indexed. Errors of a question are no answer.
func (s *SplunkAck) ask(ctx context.Context) {
	var last error
	wait := ackPollFirst
	for {
		next, out := s.earliest()
		if !out {
			wait, last = ackPollFirst, nil
			select {
			case <-s.posted:
				continue
			case <-ctx.Done():
				return
			}
		}
		if backoff.Sleep(ctx, min(wait, time.Until(next))) != nil {
			return
		}
		indexed, err := s.askAll(ctx)
		if err != nil {
			last = err
		}
		if wait = min(2*wait, ackPollMost); indexed > 0 {
			wait = ackPollFirst
		}
		now := time.Now()
		s.mu.Lock()
		s.forget(func(r receipt) bool { return !r.deadline.After(now) }, errors.Join(fmt.Errorf("not indexed within %s", s.timeout), last))
		s.mu.Unlock()
	}
}

// earliest is the first deadline, if anything is out.
func (s *SplunkAck) earliest() (first time.Time, out bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.out {
		if first.IsZero() || r.deadline.Before(first) {
			first = r.deadline
		}
	}
	return first, len(s.out) > 0
}

// askAll asks once for each channel and says how many batches are indexed by now.
func (s *SplunkAck) askAll(ctx context.Context) (indexed int, err error) {
	ids := map[string][]int64{}
	s.mu.Lock()
	for _, r := range s.out {
		ids[r.channel] = append(ids[r.channel], r.id)
	}
	s.mu.Unlock()
	for channel, list := range ids {
		acks, e := s.question(ctx, channel, list)
		err = errors.Join(err, e)
		s.mu.Lock()
		s.out = slices.DeleteFunc(s.out, func(r receipt) bool {
			if r.channel != channel || !slices.Contains(list, r.id) || !acks[strconv.FormatInt(r.id, 10)] {
				return false
			}
			r.answer <- nil
			indexed++
			return true
		})
		s.mu.Unlock()
	}
	return indexed, err
}

func (s *SplunkAck) question(ctx context.Context, channel string, ids []int64) (map[string]bool, error) {
	select {
	case <-s.line:
		defer func() { s.line <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	body, err := json.Marshal(map[string][]int64{"acks": ids})
	if err != nil {
		return nil, fmt.Errorf("ask indexers: %w", err)
	}
	u := s.ackURL
	query := u.Query()
	query.Set("channel", channel)
	u.RawQuery = query.Encode()
	var answer struct {
		Acks map[string]bool `json:"acks"`
	}
	ofChannel := func(r *http.Request) error { r.Header.Set(channelHeader, channel); return nil }
	err = s.http.do(ctx, http.MethodPost, u.String(), body, ofChannel, func(b []byte) error { return json.Unmarshal(b, &answer) })
	return answer.Acks, err
}

// Close ends the questions and the connections.
func (s *SplunkAck) Close() error {
	s.stop()
	s.asking.Wait()
	return s.Splunk.Close()
}
