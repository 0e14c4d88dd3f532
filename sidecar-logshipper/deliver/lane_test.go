package deliver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/tail"
)

// lines is an output that keeps the lines it takes; answer decides about each body.
type lines struct {
	answer func(body string) error

	mu    sync.Mutex
	taken []string
}

func (*lines) Begin(dst []byte) []byte { return dst }
func (*lines) End(dst []byte) []byte   { return dst }
func (*lines) AppendChunk(dst []byte, c *record.Chunk) ([]byte, int) {
	return append(dst, c.Data...), c.Count()
}
func (*lines) AppendRecord(dst []byte, r *record.Record) []byte {
	return append(append(dst, r.Message...), '\n')
}
func (*lines) Close() error { return nil }

func (l *lines) Send(_ context.Context, b *output.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.answer != nil {
		if err := l.answer(string(b.Body)); err != nil {
			var partial *output.Partial
			if errors.As(err, &partial) {
				l.taken = append(l.taken, "partly")
			}
			return err
		}
	}
	l.taken = append(l.taken, strings.Fields(string(b.Body))...)
	return nil
}

func (l *lines) got() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.taken...)
}

// usual is how most outputs batch.
var usual = BatchingFor(&output.Config{})

// bench is one lane on one directory.
type bench struct {
	dir    string
	set    *tail.Set
	lane   *Lane
	out    *lines
	memory *semaphore.Weighted
}

func newBench(t testing.TB, out *lines, stages ...record.Stage) *bench {
	t.Helper()
	b := newBenchOf(t, out, 2, stages...)
	b.out = out
	return b
}

// newBenchOf has a budget for so many batches.
func newBenchOf(t testing.TB, out output.Output, window int, stages ...record.Stage) *bench {
	t.Helper()
	return newBenchTo(t, out, window, Route{Stages: stages})
}

func newBenchTo(t testing.TB, out output.Output, window int, route Route) *bench {
	t.Helper()
	dir := t.TempDir()
	log, _ := kittest.Logs(t)
	registry := prometheus.NewRegistry()
	count := tail.NewCounters(registry)
	b := &bench{dir: dir, memory: semaphore.NewWeighted(int64(window) * usual.Memory() / 2)}
	b.set = tail.New(tail.Config{
		Inputs: []tail.Input{{Globs: find.Globs{Paths: []string{dir + "/*.log"}}, MaxLine: 1 << 20, Overlong: tail.OverlongTruncate}},
		Lanes:  []string{"out"}, Log: log,
	}, count, &checkpoint.State{})
	lane, err := NewLane(Config{
		Name: "out", Set: b.set, Out: out, Routes: []Route{route}, Memory: b.memory, Window: window, Batching: usual,
		Dead: NewDeadLetters(dir + "/state"), Tap: NewTap(), Log: log,
	}, NewCounters(registry, count.DroppedRecords, count.DroppedBytes))
	if err != nil {
		t.Fatal(err)
	}
	b.lane = lane
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.set.Run(ctx) })
	running.Go(func() { lane.Run(ctx, ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); b.set.Close() })
	return b
}

func (b *bench) write(t testing.TB, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(b.dir, "a.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) await(t testing.TB, n int) []string {
	t.Helper()
	kittest.Eventually(t, 10*time.Second, func() bool { return len(b.out.got()) >= n && b.set.Backlog(0) == 0 }, fmt.Sprintf("%d lines to be taken", n))
	return b.out.got()
}

func TestRejectedBatch_IsBisectedDownToTheRecordAtFault(t *testing.T) {
	out := &lines{answer: func(body string) error {
		if strings.Contains(body, "poison") {
			return &output.Rejected{Err: errors.New("bad record")}
		}
		return nil
	}}
	b := newBench(t, out)
	b.write(t, "1\n2\npoison\n4\n5\n6\n7\n")
	if got := strings.Join(b.await(t, 6), " "); got != "1 2 4 5 6 7" {
		t.Errorf("taken %q", got)
	}
	letters, err := os.ReadFile(b.dir + "/state/dead/dead.jsonl")
	if err != nil || strings.Count(string(letters), "\n") != 1 || !strings.Contains(string(letters), `"offset":4,`) || !strings.Contains(string(letters), "bad record") {
		t.Errorf("dead letters %s, %v", letters, err)
	}
}

func TestPartialAnswer_BuriesAndRetriesRecordByRecord(t *testing.T) {
	first := true
	out := &lines{}
	out.answer = func(string) error {
		if !first {
			return nil
		}
		first = false
		return &output.Partial{Rejected: []output.RejectedItem{{Index: 1, Reason: "mapping"}}, Retry: []int{3}, Err: errors.New("items failed")}
	}
	b := newBench(t, out)
	b.write(t, "0\n1\n2\n3\n4\n")
	if got := strings.Join(b.await(t, 2), " "); got != "partly 3" {
		t.Errorf("taken %q, want only record 3 to be sent again", got)
	}
}

type dropOdd struct{}

func (dropOdd) Apply(r *record.Record) string {
	if (r.Raw[0]-'0')%2 == 1 {
		return "odd"
	}
	return ""
}

func TestPartialAnswer_CountsOnlyTheRecordsThatWereKept(t *testing.T) {
	first := true
	out := &lines{}
	out.answer = func(string) error {
		if !first {
			return nil
		}
		first = false
		return &output.Partial{Retry: []int{2}, Err: errors.New("busy")}
	}
	b := newBench(t, out, dropOdd{})
	b.write(t, "0\n1\n2\n3\n4\n5\n")
	if got := strings.Join(b.await(t, 2), " "); got != "partly 4" {
		t.Errorf("taken %q, want the third kept record again", got)
	}
}

func TestLive_FailsOnlyWhenALaneIsStuckWithoutRetrying(t *testing.T) {
	release := make(chan struct{})
	out := &lines{answer: func(string) error { <-release; return nil }}
	b := newBench(t, out)
	defer close(release)
	later := time.Now().Add(2 * stuckAfter)
	if err := b.lane.Live(later); err != nil {
		t.Errorf("nothing to deliver, but: %v", err)
	}
	b.write(t, "one\n")
	kittest.Eventually(t, 5*time.Second, func() bool { return b.set.Backlog(0) > 0 }, "a backlog")
	if err := b.lane.Live(time.Now()); err != nil {
		t.Errorf("it has had no minute yet, but: %v", err)
	}
	if err := b.lane.Live(later.Add(2 * stuckAfter)); err == nil || !strings.Contains(err.Error(), "out has not moved") {
		t.Errorf("stuck for minutes, but: %v", err)
	}
	b.lane.health.failed(errors.New("away"), time.Now())
	if err := b.lane.Live(later.Add(2 * stuckAfter)); err != nil {
		t.Errorf("it is retrying, but: %v", err)
	}
}

func TestOverlongLine_IsCutAndTheFileGoesOn(t *testing.T) {
	out := &lines{}
	b := newBench(t, out)
	b.write(t, "before\n"+strings.Repeat("x", 3<<20)+"\nafter\n")
	got := b.await(t, 3)
	if got[0] != "before" || got[2] != "after" && !strings.HasSuffix(got[len(got)-1], "after") {
		t.Errorf("taken %d pieces, the first %.20q, the last %.20q", len(got), got[0], got[len(got)-1])
	}
}

// TestPassThrough_AllocatesNothingPerLine guards the hot path: read, frame, encode and acknowledge a batch of a thousand
// lines, and ten thousand, for the same few allocations.
// padded is a framer of lines that end with a newline and a zero.
type padded struct{}

func (padded) Padding(data []byte) bool { return string(data) == "\x00" }
func (padded) Frame(ends []int, data []byte, final bool) ([]int, int) {
	n := strings.LastIndexByte(string(data), '\n') + 1
	if n == 0 && final {
		n = len(data)
	}
	if n > 0 {
		ends = append(ends, n)
	}
	return ends, n
}

func TestPadding_AtTheEndOfAFileIsAcknowledgedAndNoRecord(t *testing.T) {
	out := &lines{}
	b := newBenchTo(t, out, 2, Route{Framer: padded{}})
	b.out = out
	b.write(t, "one\n\x00")
	kittest.Eventually(t, 10*time.Second, func() bool { return len(out.got()) > 0 }, "the line to be taken")
	if err := b.set.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	kittest.Eventually(t, 10*time.Second, func() bool { return b.set.Backlog(0) == 0 }, "all of the file to be acknowledged")
	if got := out.got(); !slices.Equal(got, []string{"one"}) {
		t.Errorf("%q was sent", got)
	}
}

func TestPassThrough_AllocatesNothingPerLine(t *testing.T) {
	perBatch := func(lines int) float64 {
		enc := encoder{out: output.NewStdout(output.StdoutConfig{}, output.Env{Stdout: nil}), routes: []Route{{}}}
		data := []byte(strings.Repeat("a line of a log file that says something\n", lines))
		pieces := []piece{{chunk: record.Chunk{Source: &record.Source{Path: "a"}, Data: data}}}
		var body []byte
		return testing.AllocsPerRun(20, func() { body, _ = enc.encode(body[:0], pieces) })
	}
	if few, many := perBatch(1000), perBatch(10_000); few > 2 || many > 2 {
		t.Errorf("%v allocations for 1000 lines and %v for 10000, want none a line", few, many)
	}
}

func TestBatch_WaitsLongerWhereAFullerOneIsWorthMore(t *testing.T) {
	web := output.HTTPConfig{URL: "http://h"}
	packed := output.HTTPConfig{URL: "http://h", Compression: "gzip"}
	for _, c := range []struct {
		what string
		out  output.Config
		want time.Duration
	}{
		{"plain", output.Config{HTTP: &output.JSONConfig{HTTPConfig: web}}, flushAfter},
		{"compressed", output.Config{HTTP: &output.JSONConfig{HTTPConfig: packed}}, flushPacked},
		{"objects", output.Config{S3: &output.S3Config{HTTPConfig: packed}}, time.Minute},
		{"objects of an age", output.Config{S3: &output.S3Config{HTTPConfig: packed, ObjectAge: conf.Duration(time.Hour)}}, time.Hour},
	} {
		want := c.want
		f := filler{Lane: &Lane{Config: Config{Set: newBench(t, &lines{}).set, Batching: BatchingFor(&c.out)}}, flush: time.NewTimer(time.Hour)}
		f.b = &batch{}
		f.b.segments = make([]tail.Segment, 1)
		if f.b.opened = time.Now().Add(-want / 2); f.due() {
			t.Errorf("%s: due after half of %s", c.what, want)
		}
		if f.b.opened = time.Now().Add(flushEarly - want); !f.due() {
			t.Errorf("%s: not due when the tick comes a little before %s", c.what, want)
		}
	}
}

// marked is an output that remembers where it stands.
type marked struct{ lines }

func (*marked) State() string       { return "stands at 7" }
func (*marked) Resume(string) error { return nil }

func TestResumable_StateIsKnownBeforeAnythingLeaves(t *testing.T) {
	b := newBenchOf(t, &marked{}, 2)
	if got := b.set.Resumed(0); got != "stands at 7" {
		t.Errorf("the first checkpoint says that the output %q", got)
	}
}

// limitThenMark keeps one record, as a limit does, and marks those that come to its end, as a redaction does.
type limitThenMark struct{ left int }

func (l *limitThenMark) Apply(r *record.Record) string {
	if l.left--; l.left < 0 {
		return "limit"
	}
	return ""
}

type mark struct{}

func (mark) Apply(r *record.Record) string {
	r.Message = append([]byte("marked-"), r.Message...)
	return ""
}

func TestResend_KeepsWhatWasKeptAndChangesItTheSameWay(t *testing.T) {
	for name, answer := range map[string]error{
		"refused as a whole": &output.Rejected{Err: errors.New("bad")},
		"too large":          &output.TooLarge{Err: errors.New("large")},
		"refused in part":    &output.Partial{Retry: []int{0, 2, 3}, Err: errors.New("busy")},
	} {
		t.Run(name, func(t *testing.T) {
			first := true
			out := &lines{}
			out.answer = func(string) error {
				if !first {
					return nil
				}
				first = false
				return answer
			}
			b := newBench(t, out, &limitThenMark{left: 4}, mark{})
			b.write(t, "0\n1\n2\n3\n4\n5\n")
			want := "marked-0 marked-1 marked-2 marked-3"
			if name == "refused in part" {
				want = "partly marked-0 marked-2 marked-3"
			}
			if got := strings.Join(b.await(t, 4), " "); got != want {
				t.Errorf("taken %q, want %q", got, want)
			}
		})
	}
}

func TestBusyFile_LetsTheOthersHaveTheirTurn(t *testing.T) {
	out := &lines{}
	hold := make(chan struct{})
	out.answer = func(string) error { <-hold; return nil }
	b := newBench(t, out)
	const busy = 200_000 // lines of 41 bytes: eight turns
	b.write(t, strings.Repeat(strings.Repeat("x", 40)+"\n", busy))
	if err := os.WriteFile(filepath.Join(b.dir, "b.log"), []byte("other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	kittest.Eventually(t, 10*time.Second, func() bool { return len(b.set.Files()) == 2 }, "both files to be followed")
	close(hold)
	got := b.await(t, busy+1)
	if at := slices.Index(got, "other"); at > busy/2 {
		t.Errorf("the other file's line came after %d of %d lines of the busy one", at, busy)
	}
}
