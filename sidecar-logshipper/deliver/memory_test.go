package deliver

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
)

func TestMemory_BoundsWhatIsReadWhileTheOutputIsAway(t *testing.T) {
	var mu sync.Mutex
	away := true
	out := &lines{answer: func(string) error {
		mu.Lock()
		defer mu.Unlock()
		if away {
			return &output.Retryable{Reason: "5xx", Err: errors.New("away")}
		}
		return nil
	}}
	b := newBench(t, out)
	b.write(t, strings.Repeat(strings.Repeat("x", 99)+"\n", 50_000))
	kittest.Eventually(t, 10*time.Second, func() bool {
		if b.memory.TryAcquire(1) {
			b.memory.Release(1)
			return false
		}
		return true
	}, "the budget to be used up")
	kittest.Eventually(t, 5*time.Second, func() bool { return b.set.Backlog(0) == 5_000_000 }, "all 5000000 bytes to be seen, none of them acknowledged")
	mu.Lock()
	away = false
	mu.Unlock()
	b.await(t, 50_000)
	kittest.Eventually(t, 5*time.Second, func() bool { return b.memory.TryAcquire(usual.Memory()) }, "all memory to be given back")
}

func TestMemory_OfALaneThatEndsIsNotInFlight(t *testing.T) {
	out := &lines{answer: func(string) error { return &output.Retryable{Reason: "5xx", Err: errors.New("away")} }}
	var b *bench
	t.Cleanup(func() { // after the lane has ended
		if got := testutil.ToFloat64(b.lane.count.InFlight); got != 0 {
			t.Errorf("%g bytes count as in flight", got)
		}
	})
	b = newBench(t, out)
	b.write(t, strings.Repeat(strings.Repeat("x", 99)+"\n", 10_000))
	kittest.Eventually(t, 10*time.Second, func() bool { return testutil.ToFloat64(b.lane.count.InFlight) > 0 }, "memory to be taken")
}

func TestLane_EncodesOneBatchAtATime(t *testing.T) {
	b := newBench(t, &lines{})
	b.write(t, strings.Repeat(strings.Repeat("x", 99)+"\n", 20_000))
	b.await(t, 20_000)
	for i := range cap(b.lane.idle) {
		if got := cap((<-b.lane.idle).body); got > 0 {
			t.Errorf("batch %d keeps %d bytes of an encoding", i, got)
		}
	}
	if got := cap(b.lane.spare); got < batchBytes || got > 2*batchBytes {
		t.Errorf("the lane keeps %d bytes for encodings", got)
	}
}

func TestLane_GivesItsMemoryBackWhenNothingHasComeForAWhile(t *testing.T) {
	used := func(f *filler) (n int) {
		for range cap(f.idle) {
			b := <-f.idle
			n += cap(b.body)
			b.body = make([]byte, 1000)
			f.idle <- b
		}
		return n
	}
	l := &Lane{idle: make(chan *batch, 2), spare: make([]byte, 1000)}
	l.idle <- &batch{}
	l.idle <- &batch{}
	f := &filler{Lane: l}
	used(f)
	for _, c := range []struct {
		what  string
		quiet time.Duration
		back  bool
	}{
		{"still busy", restAfter / 2, false},
		{"quiet", restAfter + time.Second, true},
		{"quiet again within the minute", restAfter + time.Second, false},
	} {
		f.busy = time.Now().Add(-c.quiet)
		f.rest()
		if got := used(f)+cap(l.spare) == 0; got != c.back {
			t.Errorf("%s: given back: %v", c.what, got)
		}
		l.spare = make([]byte, 1000)
	}
	sending := <-f.idle
	f.busy, f.rests = time.Now().Add(-time.Hour), time.Time{}
	f.rest()
	if f.busy.IsZero() {
		t.Error("gave back what is being sent")
	}
	f.idle <- sending
}
