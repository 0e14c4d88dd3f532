package tail

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
)

// banner is longer than what the head is made of, and the same in each life of an app.
var banner = strings.Repeat("the app starts, as it always does\n", 40)

// readOn reads without an acknowledgement, and returns the generation's ID.
func readOn(t *testing.T, s *Set) uint64 {
	t.Helper()
	seg, _, verdict := s.Read(0, s.Ready(0, nil)[0], make([]byte, 64<<10), nil, nil)
	if verdict != Took {
		t.Fatal("nothing was read")
	}
	return seg.Chunk.Source.Generation
}

// saved is a state as it is saved now.
func saved(s *Set) *checkpoint.State {
	state := s.Snapshot()
	state.Saved = time.Now()
	return state
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	put(t, path, text)
}

func TestFileRewrittenUnseen_WithTheSameFirstKiBIsAnotherGenerationThoughNothingWasAcknowledged(t *testing.T) {
	path := t.TempDir() + "/a.log"
	dir := strings.TrimSuffix(path, "/a.log")
	put(t, path, banner+"first life\n")
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	before := readOn(t, s)
	state := saved(s)

	put(t, path, "goes on\n")
	if again := readOn(t, follow(t, dir, Bounds{}, state)); again != before {
		t.Errorf("the same file, grown, is generation %x and then %x", before, again)
	}
	rewrite(t, path, banner+"other life\nand longer than the one before\n")
	if anew := readOn(t, follow(t, dir, Bounds{}, state)); anew == before {
		t.Error("what was written anew has the ID of what stood there before: a destination that knows it drops the lines")
	}
	rewrite(t, path, banner)
	if anew := readOn(t, follow(t, dir, Bounds{}, state)); anew == before {
		t.Error("what is shorter than what was read has the same ID")
	}
}

func TestFileRewrittenUnseen_AfterAnAcknowledgementIsToldByWhatWasReadBeyondIt(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", banner)
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	readAll(s)
	put(t, dir+"/a.log", "first life\n")
	s.refresh()
	before := readOn(t, s)
	state := saved(s)
	if again := follow(t, dir, Bounds{}, state); readOn(t, again) != before || again.order[0].cursors[0].acked.Offset != int64(len(banner)) {
		t.Error("the same file was not continued")
	}
	rewrite(t, dir+"/a.log", banner+"other life\n")
	again := follow(t, dir, Bounds{}, state)
	if got := readAll(again); got != banner+"other life\n" || again.order[0].Source.Generation == before {
		t.Errorf("of the file that was written anew %d bytes were read", len(got))
	}
}

// What was read after the last save is not in the checkpoint: a file that is the same up to there is the same file. That is
// at most the second before a kill, and the difference must begin in it.
func TestFileRewrittenUnseen_IsTakenForTheSameWhereItIsTheSameUpToTheLastSave(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", banner)
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	before := readOn(t, s)
	state := saved(s)
	put(t, dir+"/a.log", "first life\n")
	s.refresh()
	readOn(t, s) // sent within the second, then killed
	rewrite(t, dir+"/a.log", banner+"other life\n")
	if again := readOn(t, follow(t, dir, Bounds{}, state)); again != before {
		t.Error("this hole is closed: say so in README.md")
	}
	s.Snapshot()
	if state = s.Snapshot(); state != nil {
		t.Error("saved although nothing has changed")
	}
}

func TestSentMark_IsNoneWhereOtherBytesStandByNow(t *testing.T) {
	r := strings.NewReader("0123456789")
	if m := sentMark(r, 2, 6, []byte("45")); m.Len != 4 || !hasSent(r, checkpoint.Position{Offset: 2, Sent: m}) {
		t.Errorf("%+v", m)
	}
	if m := sentMark(r, 2, 6, []byte("XX")); m != (checkpoint.Mark{}) {
		t.Errorf("a mark of bytes that were not read: %+v", m)
	}
	if m := sentMark(r, 2, 20, nil); m != (checkpoint.Mark{}) {
		t.Errorf("a mark of bytes that are not there: %+v", m)
	}
	if !hasSent(r, checkpoint.Position{Offset: 10}) {
		t.Error("a position without a mark must fit")
	}
}

// The worst that a full state volume can do: two lives of one inode that no checkpoint knows of, both with the same first
// line. After a kill the second would count as the first, and have its IDs.
func TestStateThatCannotBeSaved_GivesNoTwoLivesOfAFileTheSameID(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", "the app starts\n0\n")
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	readAll(s)
	state := saved(s)
	s.Saved()
	s.SaveFailed()
	ids := map[uint64]bool{}
	for life := range 3 {
		rewrite(t, dir+"/a.log", fmt.Sprintf("the app starts\n%d\n", life+1))
		for range maxLooks + 2 {
			s.refresh()
		}
		ids[readOn(t, s)] = true
	}
	rewrite(t, dir+"/a.log", "the app starts\nonce more\n")
	ids[readOn(t, follow(t, dir, Bounds{}, state))] = true // killed, and started again
	if len(ids) != 4 {
		t.Errorf("%d IDs for 4 lives: a destination that compares them drops lines", len(ids))
	}
}

func TestTruncation_ThatALaggingReadNoticesOnceMoreDoesNotHoldUpWhatFollows(t *testing.T) {
	path := t.TempDir() + "/a.log"
	put(t, path, "before\n")
	s := follow(t, strings.TrimSuffix(path, "/a.log"), Bounds{}, &checkpoint.State{})
	readOn(t, s)
	old := s.order[0]
	src := old.src // as a Read has it that has begun
	rewrite(t, path, "after, and longer than before\n")
	for range maxLooks + 2 {
		s.scan()
	}
	s.suspect(old, src)
	if got := readAll(s); got != "after, and longer than before\n" {
		t.Errorf("after the truncation %q is read", got)
	}
}

func TestCopyThatIsItselfWrittenAnew_IsCountedAndDoesNotHoldUpWhatFollows(t *testing.T) {
	path := t.TempDir() + "/a.log"
	put(t, path, "read\n")
	s := follow(t, strings.TrimSuffix(path, "/a.log"), Bounds{}, &checkpoint.State{})
	readOn(t, s)
	put(t, path, "unread\n")
	s.refresh()
	put(t, path+".1", "read\nunread\n")
	rewrite(t, path, "after\n")
	s.scan()
	rewrite(t, path+".1", "other\nthings\n")
	readAll(s)
	s.scan()
	if got := readAll(s); got != "other\nthings\nafter\n" { // it matches the glob, so it is another file now
		t.Errorf("after the copy was written anew %q is read", got)
	}
	if lost := testutil.ToFloat64(s.count.DroppedBytes.WithLabelValues("truncated_unread")); lost != 7 {
		t.Errorf("%v bytes counted as lost, want the 7 of unread", lost)
	}
}
