package deliver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
)

// later is an output that takes every batch at once, and lets the test answer for it.
type later struct {
	lines
	handed chan answerable
}

type answerable struct {
	body   string
	answer chan<- error
}

func (l *later) Hand(ctx context.Context, b *output.Batch) (<-chan error, error) {
	answer := make(chan error, 1)
	select {
	case l.handed <- answerable{string(b.Body), answer}:
		return answer, l.lines.Send(ctx, b)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// burst writes so many lines that each of the lane's batches holds some, and returns the first n batches that come out.
func burst(t *testing.T, b *bench, out *later, n int) (list []answerable) {
	t.Helper()
	var text strings.Builder
	for i := range n * batchBytes / 100 {
		fmt.Fprintf(&text, "%06d-%s\n", i, strings.Repeat("x", 92))
	}
	b.write(t, text.String())
	for range n {
		list = append(list, next(t, out))
	}
	return list
}

func next(t *testing.T, out *later) answerable {
	t.Helper()
	select {
	case a := <-out.handed:
		return a
	case <-time.After(10 * time.Second):
		t.Fatal("no further batch came while the ones before wait for their answers")
		return answerable{}
	}
}

func newLater(t *testing.T, window int) (*bench, *later) {
	out := &later{handed: make(chan answerable)}
	b := newBenchOf(t, out, window)
	b.out = &out.lines
	return b, out
}

func TestDeferred_PositionsMoveInOrderHoweverTheAnswersCome(t *testing.T) {
	b, out := newLater(t, 5)
	batches := burst(t, b, out, 4)
	all := b.set.Backlog(0)
	for _, n := range []int{2, 3, 1} {
		batches[n].answer <- nil
	}
	if got := b.set.Backlog(0); got != all {
		t.Fatalf("%d bytes were acknowledged before the first batch was answered for", all-got)
	}
	batches[0].answer <- nil
	kittest.Eventually(t, 10*time.Second, func() bool { return b.set.Backlog(0) <= all-4*batchBytes/2 }, "the positions to move over all four")
	go func() {
		for a := range out.handed {
			a.answer <- nil
		}
	}()
	t.Cleanup(func() { close(out.handed) })
	kittest.Eventually(t, 10*time.Second, func() bool { return b.set.Backlog(0) == 0 }, "the rest")
}

func TestDeferred_WhatIsNotAnsweredForIsSentAgainAndNothingElse(t *testing.T) {
	b, out := newLater(t, 4)
	batches := burst(t, b, out, 4)
	lost := &output.Retryable{Reason: "ack", Err: errors.New("forgotten")}
	batches[0].answer <- lost
	batches[2].answer <- lost
	batches[1].answer <- nil
	for _, n := range []int{0, 2} {
		again := next(t, out)
		if again.body != batches[n].body {
			t.Fatalf("%.20q was sent again, want batch %d", again.body, n)
		}
		again.answer <- nil
	}
	batches[3].answer <- nil
	kittest.Eventually(t, 10*time.Second, func() bool {
		select {
		case a := <-out.handed:
			a.answer <- nil
		default:
		}
		return b.set.Backlog(0) == 0
	}, "everything to be acknowledged")
}

func TestDeferred_WhatIsOutIsBoundedByTheWindow(t *testing.T) {
	b, out := newLater(t, 3)
	burst(t, b, out, 3)
	select {
	case a := <-out.handed:
		t.Fatalf("a fourth batch of %d bytes is out", len(a.body))
	case <-time.After(300 * time.Millisecond):
	}
	if b.memory.TryAcquire(usual.Memory()/2 + 1) {
		t.Error("what is out is not taken from the budget")
	}
}

func TestDeferred_ARefusedRecordIsBuriedInItsTurn(t *testing.T) {
	b, out := newLater(t, 4)
	out.answer = func(body string) error {
		if strings.Contains(body, "poison") {
			return &output.Rejected{Err: errors.New("bad record")}
		}
		return nil
	}
	b.write(t, "1\npoison\n3\n")
	go func() {
		for a := range out.handed {
			a.answer <- nil
		}
	}()
	t.Cleanup(func() { close(out.handed) })
	if got := strings.Join(b.await(t, 2), " "); got != "1 3" {
		t.Errorf("taken %q", got)
	}
	if letters, err := os.ReadFile(b.dir + "/state/dead/dead.jsonl"); err != nil || strings.Count(string(letters), "\n") != 1 {
		t.Errorf("dead letters %s, %v", letters, err)
	}
}

func TestLive_ALaneThatWaitsForAnAnswerIsNotStuck(t *testing.T) {
	b, out := newLater(t, 3)
	b.write(t, "one\n")
	a := next(t, out)
	kittest.Eventually(t, 10*time.Second, func() bool { return b.lane.Live(time.Now().Add(2*stuckAfter)) == nil }, "the lane to count as waiting")
	a.answer <- nil
	kittest.Eventually(t, 10*time.Second, func() bool { return b.set.Backlog(0) == 0 }, "the acknowledgement")
}

func TestWindowFor_SharesTheBudgetAmongTheOutputs(t *testing.T) {
	for _, c := range []struct {
		memory  int64
		outputs int
		want    int
	}{{16 << 20, 1, 21}, {16 << 20, 3, 7}, {BatchingFor(&output.Config{Splunk: &output.SplunkConfig{Ack: true}}).Memory(), 1, 2}} {
		if got := WindowFor(c.memory, c.outputs); got != c.want {
			t.Errorf("%d bytes for %d outputs: %d batches, want %d", c.memory, c.outputs, got, c.want)
		}
	}
}
