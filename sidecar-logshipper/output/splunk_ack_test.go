package output

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// collector is a HEC with indexer acknowledgement that misbehaves on demand.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	next    map[string]int   // ackId, by channel
	taken   map[ackOf]string // batches that may be asked for
	batches []string         // ever taken
	asked   int
	most    int // IDs in one question
	// answer decides about a question for the n-th batch ever taken, from 0: indexed or not, or a status other than 200.
	answer func(asked, n int) (indexed bool, status int)
	number map[ackOf]int
	mute   bool // takes bodies without an ackId
	refuse string
	busy   int // so many batches are put off
	lose   int // so many answers to batches that are taken
}

// ackOf is an ackId in its channel.
type ackOf struct {
	channel string
	id      int
}

func newCollector(t *testing.T, answer func(asked, n int) (bool, int)) *collector {
	c := &collector{answer: answer}
	c.restart()
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// restart forgets all IDs; they count from 0 again.
func (c *collector) restart() {
	c.next, c.taken, c.number = map[string]int{}, map[ackOf]string{}, map[ackOf]int{}
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	channel := r.Header.Get(channelHeader)
	if len(channel) != 36 {
		http.Error(w, `{"text":"Data channel is missing","code":10}`, http.StatusBadRequest)
		return
	}
	switch {
	case c.busy > 0 && !strings.HasSuffix(r.URL.Path, "/collector/ack"):
		c.busy--
		http.Error(w, `{"text":"Server is busy","code":9}`, http.StatusServiceUnavailable)
	case c.refuse != "":
		http.Error(w, c.refuse, http.StatusBadRequest)
	case strings.HasSuffix(r.URL.Path, "/collector/ack"):
		c.acknowledge(w, r, body)
	case c.mute:
		_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
	default:
		id := ackOf{channel, c.next[channel]}
		c.next[channel]++
		c.taken[id], c.number[id] = string(body), len(c.batches)
		c.batches = append(c.batches, string(body))
		if c.lose > 0 {
			c.lose--
			hangUp(w)
			return
		}
		fmt.Fprintf(w, `{"text":"Success","code":0,"ackId":%d}`, id.id)
	}
}

func hangUp(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// acknowledge answers false for what it does not know, and forgets what it has answered true for, as Splunk does.
func (c *collector) acknowledge(w http.ResponseWriter, r *http.Request, body []byte) {
	var question struct{ Acks []int }
	channel := r.URL.Query().Get("channel")
	if json.Unmarshal(body, &question) != nil || len(question.Acks) == 0 || channel != r.Header.Get(channelHeader) {
		http.Error(w, `{"text":"Invalid data channel","code":11}`, http.StatusBadRequest)
		return
	}
	c.asked++
	c.most = max(c.most, len(question.Acks))
	acks := map[int]bool{}
	for _, n := range question.Acks {
		id := ackOf{channel, n}
		acks[n] = false
		if _, known := c.taken[id]; !known {
			continue
		}
		indexed, status := c.answer(c.asked, c.number[id])
		if status != 0 {
			w.WriteHeader(status)
			return
		}
		if acks[n] = indexed; indexed {
			delete(c.taken, id)
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"acks": acks})
}

func (c *collector) change(what func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what()
}

// has is what was taken, after so many questions.
func (c *collector) has() (batches []string, asked int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.batches), c.asked
}

func (c *collector) to(timeout time.Duration) Config {
	return Config{Splunk: &SplunkConfig{HTTPConfig: HTTPConfig{URL: c.URL}, Token: "t", Ack: true, AckTimeout: conf.Duration(timeout)}}
}

// hand hands a batch of one message over.
func (s *shipper) hand(message string) (<-chan error, error) {
	c := chunkOf(message)
	body, n := s.out.AppendChunk(s.out.Begin(nil), c)
	return s.out.(Deferred).Hand(s.t.Context(), &Batch{Body: s.out.End(body), Records: n})
}

// handed are the answers to batches that all were taken.
func (s *shipper) handed(messages ...string) (answers []<-chan error) {
	s.t.Helper()
	for _, m := range messages {
		answer, err := s.hand(m)
		if err != nil {
			s.t.Fatal(err)
		}
		answers = append(answers, answer)
	}
	return answers
}

// within is what an answer says.
func within(t *testing.T, answer <-chan error) error {
	t.Helper()
	select {
	case err := <-answer:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("no answer")
		return nil
	}
}

func TestSplunkAck_ABatchCountsAsTakenOnlyWhenItIsIndexed(t *testing.T) {
	c := newCollector(t, func(asked, _ int) (bool, int) {
		switch asked {
		case 1:
			return false, 0
		case 2:
			return false, http.StatusServiceUnavailable
		case 3:
			return false, http.StatusNotFound
		}
		return true, 0
	})
	out := open(t, c.to(time.Minute))
	err := out.send(t.Context(), numbered(3))
	batches, asked := c.has()
	if err != nil || asked != 4 || len(batches) != 1 {
		t.Fatalf("%v after %d questions about %d batches, want 4 about 1", err, asked, len(batches))
	}
	if got, err := linesOf("event")([]byte(batches[0])); err != nil || !slices.Equal(got, numbered(3)) {
		t.Errorf("%q %v", got, err)
	}
}

func TestSplunkAck_ABatchThatWasForgottenIsSentAgain(t *testing.T) {
	c := newCollector(t, func(_, id int) (bool, int) { return id == 1, 0 })
	out := open(t, c.to(250*time.Millisecond))
	out.ship("one")
	if batches, _ := c.has(); !slices.Equal(out.reasons, []string{"ack"}) || len(batches) != 2 || batches[0] != batches[1] {
		t.Errorf("sent %d times, reasons %v", len(batches), out.reasons)
	}
}

func TestSplunkAck_ATokenWithoutItIsSaidAndNothingIsRefused(t *testing.T) {
	c := newCollector(t, nil)
	out := open(t, c.to(time.Minute))
	c.change(func() { c.mute = true })
	if retry, ok := errors.AsType[*Retryable](out.send(t.Context(), numbered(2))); !ok || !strings.Contains(retry.Error(), "enable indexer acknowledgement") {
		t.Errorf("%v", retry)
	}
	for code, text := range map[int]string{7: "Incorrect index", 10: "Data channel is missing", 11: "Invalid data channel", 14: "ACK is disabled"} {
		c.change(func() { c.refuse = fmt.Sprintf(`{"text":%q,"code":%d}`, text, code) })
		if retry, ok := errors.AsType[*Retryable](out.send(t.Context(), numbered(2))); !ok || !strings.Contains(retry.Error(), text) {
			t.Errorf("code %d: %v", code, retry)
		}
	}
}

func TestSplunkAck_OneQuestionAsksForAllThatIsOutAndTheAnswersMayComeInAnyOrder(t *testing.T) {
	var mu sync.Mutex
	next := -1 // which batch is indexed now; nothing yet
	c := newCollector(t, func(_, n int) (bool, int) {
		mu.Lock()
		defer mu.Unlock()
		return n == next, 0
	})
	answers := open(t, c.to(time.Minute)).handed(numbered(5)...)
	for _, n := range []int{3, 0, 4, 2, 1} {
		mu.Lock()
		next = n
		mu.Unlock()
		if err := within(t, answers[n]); err != nil {
			t.Errorf("batch %d: %v", n, err)
		}
		for other, answer := range answers {
			if len(answer) > 0 {
				t.Errorf("batch %d was answered for with %d", other, n)
			}
		}
	}
	if batches, _ := c.has(); len(batches) != 5 || c.most < 2 {
		t.Errorf("%d batches, %d IDs in a question", len(batches), c.most)
	}
}

func TestSplunkAck_OneThatNeverComesDoesNotHoldUpTheOthers(t *testing.T) {
	c := newCollector(t, func(_, n int) (bool, int) { return n != 1, 0 })
	answers := open(t, c.to(time.Second)).handed(numbered(3)...)
	for _, n := range []int{0, 2} {
		if err := within(t, answers[n]); err != nil {
			t.Errorf("batch %d: %v", n, err)
		}
	}
	if retry, ok := errors.AsType[*Retryable](within(t, answers[1])); !ok || retry.Reason != "ack" || !strings.Contains(retry.Error(), "not indexed within 1s") {
		t.Errorf("%v", retry)
	}
}

func TestSplunkAck_WhatWasOutIsSentAgainAfterTheCollectorHasStartedAnew(t *testing.T) {
	var mu sync.Mutex
	indexing := false
	c := newCollector(t, func(int, int) (bool, int) {
		mu.Lock()
		defer mu.Unlock()
		return indexing, 0
	})
	out := open(t, c.to(time.Minute))
	before := out.handed(numbered(3)...)
	c.change(c.restart)
	after := out.handed("after")
	for n, answer := range before { // its IDs are given to others now
		if retry, ok := errors.AsType[*Retryable](within(t, answer)); !ok || !strings.Contains(retry.Error(), "counts from the start again") {
			t.Errorf("batch %d: %v", n, retry)
		}
	}
	mu.Lock()
	indexing = true
	mu.Unlock()
	if err := within(t, after[0]); err != nil {
		t.Error(err)
	}
}

func TestSplunkAck_IDsThatWereGivenUnseenAfterARestartAnswerForNothingBefore(t *testing.T) {
	c := newCollector(t, func(int, int) (bool, int) { return true, 0 })
	c.change(func() { c.answer = func(int, int) (bool, int) { return false, 0 } })
	out := open(t, c.to(2*time.Second))
	before := out.handed(numbered(2)...)
	c.change(func() { c.restart(); c.lose = 2 })
	for range 2 {
		if _, err := out.hand("its answer is lost"); err == nil {
			t.Fatal("an answer that was lost arrived")
		}
	}
	c.change(func() { c.answer = func(int, int) (bool, int) { return true, 0 } })
	after := out.handed("after")
	if err := within(t, after[0]); err != nil {
		t.Error(err)
	}
	for n, answer := range before {
		if err := within(t, answer); err == nil {
			t.Errorf("batch %d, which the collector has forgotten, counts as indexed", n)
		}
	}
}

func TestSplunkAck_ACollectorThatIsBusyForgetsNothing(t *testing.T) {
	c := newCollector(t, func(_, n int) (bool, int) { return n == 1, 0 })
	out := open(t, c.to(time.Minute))
	before := out.handed("before")
	c.change(func() { c.busy = 3 })
	for range 3 {
		if retry, ok := errors.AsType[*Retryable](func() error { _, err := out.hand("later"); return err }()); !ok || retry.Reason != "5xx" {
			t.Errorf("%v", retry)
		}
	}
	if err := within(t, out.handed("later")[0]); err != nil || len(before[0]) > 0 {
		t.Errorf("%v, and %d answers for the batch before", err, len(before[0]))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.next) != 1 {
		t.Errorf("%d channels", len(c.next))
	}
}
