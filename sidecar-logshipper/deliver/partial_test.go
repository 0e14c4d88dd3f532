package deliver

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pod-helpers/pod-helpers/internal/kit/backoff"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/tail"
)

// newLaneTo is a lane that nothing is read for, and a batch of text.
func newLaneTo(t *testing.T, out *lines, text string) (*Lane, []piece) {
	t.Helper()
	log, _ := kittest.Logs(t)
	registry := prometheus.NewRegistry()
	dropped := tail.NewCounters(registry)
	lane, err := NewLane(Config{Name: "out", Out: out, Routes: make([]Route, 1), Batching: usual, Dead: NewDeadLetters(t.TempDir()), Log: log},
		NewCounters(registry, dropped.DroppedRecords, dropped.DroppedBytes))
	if err != nil {
		t.Fatal(err)
	}
	return lane, []piece{{chunk: record.Chunk{Source: &record.Source{Path: "a.log"}, Data: []byte(text), Next: int64(len(text))}}}
}

func TestPartialAnswer_ThatPutsRecordsOffIsARetryWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sends, end := 0, time.Now().Add(time.Hour)
		out := &lines{answer: func(string) error {
			if sends++; time.Now().Before(end) {
				return &output.Partial{Retry: []int{0}, Err: errors.New("429 too many requests")}
			}
			return nil
		}}
		lane, pieces := newLaneTo(t, out, "one\n")
		delivered := make(chan error)
		go func() { delivered <- lane.again(t.Context(), pieces) }()
		time.Sleep(30 * time.Minute)
		lane.health.mu.Lock()
		failing, why := !lane.health.failing.IsZero(), lane.health.lastErr
		lane.health.mu.Unlock()
		if !failing || why == nil || !strings.Contains(why.Error(), "429") {
			t.Errorf("failing %v, because %v: /livez must see the retry, and a person its reason", failing, why)
		}
		if err := <-delivered; err != nil {
			t.Error(err)
		}
		if sends < 100 || sends > 500 {
			t.Errorf("%d attempts in an hour, want one in 15 s or so", sends)
		}
		if n := testutil.ToFloat64(lane.count.Retries.WithLabelValues("out", "partial")); n != float64(sends-1) {
			t.Errorf("%v retries counted of %d", n, sends-1)
		}
	})
}

func TestPartialAnswer_WaitsForNothingAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := 200
		out := &lines{answer: func(string) error {
			if left--; left == 0 {
				return nil
			}
			return &output.Partial{Rejected: []output.RejectedItem{{Index: 0, Reason: "blank"}}, Retry: upTo(left), Err: errors.New("blank")}
		}}
		lane, pieces := newLaneTo(t, out, strings.Repeat("line\n", left))
		start := time.Now()
		if err := lane.again(t.Context(), pieces); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 0 || left != 0 {
			t.Errorf("slept for %s, %d left", took, left)
		}
	})
}

// upTo is 1, 2 ... n.
func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i+1)
	}
	return list
}

func TestLive_ALaneThatBuriesManyRecordsMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rejected []output.RejectedItem
		for i := range 50 {
			rejected = append(rejected, output.RejectedItem{Index: i, Reason: "mapping"})
		}
		lane, pieces := newLaneTo(t, &lines{}, strings.Repeat("line\n", len(rejected)))
		time.Sleep(2 * stuckAfter)
		if err := lane.resolve(t.Context(), pieces, &output.Partial{Rejected: rejected, Err: errors.New("mapping")}, len(rejected)); err != nil {
			t.Fatal(err)
		}
		if still := time.Since(lane.health.acked); still > stuckAfter {
			t.Errorf("counts as stuck for %s", still)
		}
	})
}

func TestLive_ALaneThatCannotWriteDeadLettersIsRetrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane, pieces := newLaneTo(t, &lines{}, "line\n")
		lane.Dead = NewDeadLetters("/proc/nowhere")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := lane.resolve(ctx, pieces, &output.Rejected{Err: errors.New("mapping")}, 1)
		if !errors.Is(err, context.DeadlineExceeded) || lane.health.failing.IsZero() {
			t.Errorf("%v, failing since %s", err, lane.health.failing)
		}
	})
}

func TestRetryAfter_WinsButNotForEver(t *testing.T) {
	lane, _ := newLaneTo(t, &lines{}, "a\n")
	for named, want := range map[time.Duration]time.Duration{7 * time.Second: 7 * time.Second, 24 * 365 * time.Hour: 10 * time.Minute} {
		wait := backoff.New(retryFirst, retryMost)
		if got := lane.retryAfter(&output.Retryable{Reason: "429", After: named, Err: errors.New("busy")}, wait); got != want {
			t.Errorf("Retry-After %s: waits %s", named, got)
		}
	}
}

func TestTooLarge_OneLongRecordDoesNotShrinkTheBatches(t *testing.T) {
	out := &lines{answer: func(body string) error {
		if len(body) > 200_000 {
			return &output.TooLarge{Err: errors.New("413")}
		}
		return nil
	}}
	text := strings.Repeat(strings.Repeat("x", 999)+"\n", 100)
	lane, pieces := newLaneTo(t, out, text+strings.Repeat("y", 300_000)+"\n")
	if err := lane.again(t.Context(), pieces); err != nil {
		t.Fatal(err)
	}
	if n := len(out.got()); n != 100 {
		t.Errorf("%d records were taken, want all but the long one", n)
	}
	if limit := lane.limit.Load(); limit < 100_000 {
		t.Errorf("batches are of %d bytes now, and 200000 would be taken", limit)
	}
}

func TestLive_ALineThatIsNotEndedIsNothingToDeliver(t *testing.T) {
	out := &lines{}
	b := newBench(t, out)
	b.write(t, "one\nand more")
	kittest.Eventually(t, 5*time.Second, func() bool { return len(out.got()) > 0 && b.set.Backlog(0) == 8 && !b.lane.Status().Due }, "the whole line to be taken")
	if err := b.lane.Live(time.Now().Add(2 * stuckAfter)); err != nil {
		t.Error(err)
	}
}
