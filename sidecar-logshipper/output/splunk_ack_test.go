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
	channel string
	batches []string // by ackId
	asked   int
	// answer decides about a question for the ackId: indexed or not, or a status other than 200.
	answer func(asked, id int) (indexed bool, status int)
	mute   bool // takes bodies without an ackId
	refuse string
}

func newCollector(t *testing.T, answer func(asked, id int) (bool, int)) *collector {
	c := &collector{answer: answer}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	channel := r.Header.Get("X-Splunk-Request-Channel")
	if len(channel) != 36 || c.channel != "" && channel != c.channel {
		http.Error(w, `{"text":"Data channel is missing","code":10}`, http.StatusBadRequest)
		return
	}
	c.channel = channel
	switch {
	case c.refuse != "":
		http.Error(w, c.refuse, http.StatusBadRequest)
	case strings.HasSuffix(r.URL.Path, "/collector/ack"):
		c.acknowledge(w, r, body)
	case c.mute:
		_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
	default:
		c.batches = append(c.batches, string(body))
		fmt.Fprintf(w, `{"text":"Success","code":0,"ackId":%d}`, len(c.batches)-1)
	}
}

func (c *collector) acknowledge(w http.ResponseWriter, r *http.Request, body []byte) {
	var question struct{ Acks []int }
	if json.Unmarshal(body, &question) != nil || len(question.Acks) != 1 || r.URL.Query().Get("channel") != c.channel {
		http.Error(w, `{"text":"Invalid data channel","code":11}`, http.StatusBadRequest)
		return
	}
	c.asked++
	indexed, status := c.answer(c.asked, question.Acks[0])
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	fmt.Fprintf(w, `{"acks":{"%d":%v}}`, question.Acks[0], indexed)
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
