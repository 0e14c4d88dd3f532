package tail

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
)

func TestMaxLine_SmallerThanABufferIsKeptToByEachPolicy(t *testing.T) {
	long := strings.Repeat("L", 2500)
	text := "a\nbb\n" + long + "\nc\n" + long + "\n"
	for policy, want := range map[string][]string{
		OverlongTruncate: {"a", "bb", long[:1024], "c", long[:1024]},
		OverlongSplit:    {"a", "bb", long[:1024], long[:1024], long[2048:], "c", long[:1024], long[:1024], long[2048:]},
		OverlongDrop:     {"a", "bb", "c"},
	} {
		dir := t.TempDir()
		put(t, dir+"/a.log", text)
		s := follow(t, dir, Bounds{}, &checkpoint.State{})
		s.inputs[0].MaxLine, s.inputs[0].Overlong = 1024, policy
		var got []string
		buf := make([]byte, 64<<10)
		for ready := s.Ready(0, nil); len(ready) > 0; ready = s.Ready(0, nil) {
			seg, _, verdict := s.Read(0, ready[0], buf, nil, nil)
			if verdict != Took {
				continue
			}
			for start, end := range seg.Chunk.Records() {
				got = append(got, strings.TrimSuffix(string(seg.Chunk.Data[start:end]), "\n"))
			}
			s.Acknowledge(0, []Segment{seg}, "")
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: records of %v bytes, want %v", policy, lengths(got), lengths(want))
		}
		if left := s.Backlog(0); left != 0 {
			t.Errorf("%s: %d bytes are left", policy, left)
		}
		if n := testutil.ToFloat64(s.count.DroppedRecords.WithLabelValues("overlong")); policy == OverlongDrop && n != 2 {
			t.Errorf("%v records are counted as dropped, want 2", n)
		}
	}
}

func lengths(list []string) (n []int) {
	for _, s := range list {
		n = append(n, len(s))
	}
	return n
}

func TestFirstLonger_FindsTheSameAsLookingAtEachLine(t *testing.T) {
	for seed := range 200 {
		var b strings.Builder
		for i := range 20 {
			b.WriteString(strings.Repeat("x", (seed*7+i*i*3)%(10+seed%9)) + "\n")
		}
		data := []byte(b.String())
		var ends []int
		for i, c := range data {
			if c == '\n' {
				ends = append(ends, i+1)
			}
		}
		s1, e1 := firstLonger(data, nil, 12)
		s2, e2 := firstLonger(data, ends, 12)
		if s1 != s2 || e1 != e2 {
			t.Fatalf("%q: by strides %d-%d, line by line %d-%d", data, s1, e1, s2, e2)
		}
	}
}

func FuzzFirstLonger_NeverLeavesALongLineBefore(f *testing.F) {
	f.Add([]byte("a\nbbbbbbbbbb\nc\n"), 4)
	f.Fuzz(func(t *testing.T, data []byte, most int) {
		if most < 1 || most > 1<<20 {
			return
		}
		start, _ := firstLonger(data, nil, most)
		for line := range strings.Lines(string(data[:start])) {
			if len(line) > most+1 {
				t.Errorf("a line of %d bytes passed for %d", len(line), most)
			}
		}
	})
}
