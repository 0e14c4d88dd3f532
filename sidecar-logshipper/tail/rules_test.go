package tail

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
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
)

// follow makes a set of dir/*.log for one output, which nobody runs.
func follow(t *testing.T, dir string, b Bounds, from *checkpoint.State) *Set {
	t.Helper()
	log, _ := kittest.Logs(t)
	s := New(Config{
		Inputs: []Input{{Globs: find.Globs{Paths: []string{filepath.Join(dir, "*.log*")}}, MaxLine: 1 << 20, Overlong: OverlongTruncate}},
		Lanes:  []string{"out"}, Bounds: b, Log: log,
	}, NewCounters(prometheus.NewRegistry()), from)
	t.Cleanup(func() { s.bell.Close(); s.Close() })
	return s
}

func put(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// readAll takes what is ready, acknowledges it, and returns it.
func readAll(s *Set) string {
	var b strings.Builder
	buf := make([]byte, 64<<10)
	for ready := s.Ready(0, nil); len(ready) > 0; ready = s.Ready(0, nil) {
		seg, _, verdict := s.Read(0, ready[0], buf, nil, nil)
		if verdict == Took {
			b.Write(seg.Chunk.Data)
			s.Acknowledge(0, []Segment{seg}, "")
		}
	}
	return b.String()
}

// failing is a file on a disk that does not answer.
type failing struct{ source }

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errors.New("input/output error") }

func TestReadError_PausesTheFileAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", "one\n")
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	g, good := s.order[0], s.order[0].src
	g.src = failing{good}
	if got := readAll(s); got != "" || len(s.Ready(0, nil)) != 0 {
		t.Fatalf("read %q from a broken disk, ready again: %d", got, len(s.Ready(0, nil)))
	}
	if s.Backlog(0) != 4 {
		t.Errorf("the backlog is %d, want the unread 4 bytes", s.Backlog(0))
	}
	g.src = good
	g.cursors[0].pauseUntil = time.Now()
	if got := readAll(s); got != "one\n" {
		t.Errorf("after the pause %q was read", got)
	}
}

func TestPolling_SeesNewFilesAndNewLinesWithoutABell(t *testing.T) {
	dir := t.TempDir()
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	s.bell.Close()
	s.bell = &find.Bell{} // what NewBell returns where inotify cannot be had
	if !s.bell.Polling() {
		t.Fatal("a bell without inotify is not polling")
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	defer running.Wait()
	defer stop()
	for _, text := range []string{"first\n", "second\n"} {
		put(t, dir+"/a.log", text)
		kittest.Eventually(t, 10*time.Second, func() bool { return readAll(s) == text }, text)
	}
}

func TestShortFiles_AreReadAtOnceAndEqualOnesAreDifferentFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"/a.log", "/b.log", "/c.log"} {
		put(t, dir+name, "x\n")
	}
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	if got := readAll(s); got != "x\nx\nx\n" {
		t.Errorf("three equal short files gave %q", got)
	}
}

func TestReusedInode_IsANewFile(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", "the same head\nold\n")
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	readAll(s)
	state := s.Snapshot()
	state.Saved = time.Now()
	// The next file has its inode and another birth, or no birth where the file system keeps none: both must be seen.
	for _, birth := range []int64{state.Files[0].Key.Birth - 1, 0} {
		if err := os.WriteFile(dir+"/a.log", []byte("the same head\nnew, and longer than the old one\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		now, err := find.Stat(dir + "/a.log")
		if err != nil {
			t.Fatal(err)
		}
		if state.Files[0].Key = now.Key; birth != 0 {
			state.Files[0].Key.Birth = birth
		}
		again := follow(t, dir, Bounds{}, state)
		if got := readAll(again); !strings.HasPrefix(got, "the same head\nnew") {
			t.Errorf("of the file with the reused inode %q was read", got)
		}
	}
}

func TestDeletedFile_GivesItsSpaceFreeWhenAllOfItIsAcknowledgedAndNotBefore(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", "one\n")
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	src := s.order[0].src
	seg, _, _ := s.Read(0, s.order[0], make([]byte, 4096), nil, nil)
	if err := os.Remove(dir + "/a.log"); err != nil {
		t.Fatal(err)
	}
	s.scan()
	long := time.Now().Add(lingerTime + time.Second)
	if s.retire(long); len(s.order) != 1 || !s.Files()[0].Deleted {
		t.Fatal("it was let go before its line was acknowledged")
	}
	s.Acknowledge(0, []Segment{seg}, "")
	s.retire(long)
	if _, err := src.ReadAt(make([]byte, 1), 0); len(s.order) != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("%d files are held, reading gives %v", len(s.order), err)
	}
}

func TestTombstone_KeepsACopyThatIsMatchedLateFromBeingReadTwice(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", "one\ntwo\n")
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	readAll(s)
	if err := os.Rename(dir+"/a.log", dir+"/a.log.1"); err != nil {
		t.Fatal(err)
	}
	s.scan()
	s.retire(time.Now().Add(lingerTime + time.Second))
	if len(s.order) != 0 || len(s.tombstones) != 1 {
		t.Fatalf("%d files are held and %d tombstones left, want 0 and 1", len(s.order), len(s.tombstones))
	}
	data, err := os.ReadFile(dir + "/a.log.1")
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir+"/a.log.2", string(data)) // a backup of it
	state := s.Snapshot()
	state.Saved = time.Now()
	again := follow(t, dir, Bounds{}, state) // the tombstone is persistent
	again.scan()
	if got := readAll(again); got != "" {
		t.Errorf("%q was read twice", got)
	}
}

func TestTombstone_StaysAsLongAsItsFile(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", "one\ntwo\n")
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	readAll(s)
	now := time.Now()
	for i := range 4 { // weekly, and the glob matches what was rotated
		for n := i; n > 0; n-- {
			move(t, fmt.Sprintf("%s/a.log.%d", dir, n), fmt.Sprintf("%s/a.log.%d", dir, n+1))
		}
		move(t, dir+"/a.log", dir+"/a.log.1")
		put(t, dir+"/a.log", fmt.Sprintf("of week %d\n", i))
		s.scan()
		if got, want := readAll(s), fmt.Sprintf("of week %d\n", i); got != want {
			t.Errorf("in week %d %q was read, want %q", i, got, want)
		}
		now = now.Add(7 * 24 * time.Hour)
		s.retire(now)
		s.sweep(now, nil)
	}
	if len(s.tombstones) != 4 {
		t.Errorf("%d tombstones, want 4", len(s.tombstones))
	}
}

func TestTombstone_GoesSomeTimeAfterItsFile(t *testing.T) {
	dir := t.TempDir()
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	now, most := time.Now(), 0
	for i := range 300 { // a rotation a minute, of which none is kept
		put(t, dir+"/a.log", fmt.Sprintf("line %d\n", i))
		s.scan()
		readAll(s)
		move(t, dir+"/a.log", dir+"/a.log.1")
		s.scan()
		now = now.Add(time.Minute)
		s.retire(now)
		s.sweep(now, nil)
		most = max(most, len(s.tombstones))
	}
	if want := int(tombstoneLife/time.Minute) + 2; most > want || len(s.gone) > want {
		t.Errorf("up to %d tombstones and %d missing files are kept, want %d at most", most, len(s.gone), want)
	}
	if len(s.order)+len(s.tombstones) != len(s.Snapshot().Files) {
		t.Error("the saved state holds more than what is known")
	}
}

func TestTombstone_OfAFileThatCannotBeLookedForStays(t *testing.T) {
	parent := t.TempDir()
	dir := parent + "/logs"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, dir+"/a.log", "one\n")
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	readAll(s)
	move(t, dir+"/a.log", dir+"/a.log.1")
	s.scan()
	s.retire(time.Now().Add(lingerTime + time.Second))
	move(t, dir, parent+"/elsewhere")
	if err := os.Symlink(dir, dir); err != nil { // ELOOP, for root too
		t.Fatal(err)
	}
	for i := range 5 {
		s.sweep(time.Now().Add(time.Duration(i)*tombstoneLife), nil)
	}
	if len(s.tombstones) != 1 {
		t.Errorf("%d tombstones are left, want 1", len(s.tombstones))
	}
}

func TestGeneration_OfAReusedInodeIsAnotherOneEvenWithoutATimeOfBirth(t *testing.T) {
	s := follow(t, t.TempDir(), Bounds{}, &checkpoint.State{})
	f := find.File{Key: find.Key{Dev: 1, Inode: 2}, Modified: time.Unix(100, 0)}
	before := s.begin(f, "a.log", 0, nothing{}, 0).Source.Generation
	f.Modified = time.Unix(200, 0)
	if after := s.begin(f, "a.log", 0, nothing{}, 0).Source.Generation; after == before {
		t.Errorf("both are %x: a destination that compares IDs would take one for the other", after)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestMaxHeld_DropsTheOldestDeletedFileAndCountsIt(t *testing.T) {
	dir := t.TempDir()
	s := follow(t, dir, Bounds{Held: 1500}, &checkpoint.State{})
	line := strings.Repeat("x", 99) + "\n"
	for i := range 3 {
		name := fmt.Sprintf("%s/%d.log", dir, i)
		put(t, name, fmt.Sprintf("%d", i)+strings.Repeat(line, 10))
		s.scan()
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		s.scan()
	}
	got := readAll(s)
	if strings.HasPrefix(got, "0") || !strings.Contains(got, "2x") || len(got) != 1001 {
		t.Errorf("%d bytes that begin with %q were read, want the 1001 of the newest file alone", len(got), got[:1])
	}
	if n := testutil.ToFloat64(s.count.DroppedRecords.WithLabelValues("max_held")); n != 20 {
		t.Errorf("%v records are counted as dropped, want 20", n)
	}
}

func TestMaxAge_DropsARotatedFileThatIsTooOldAndNeverALiveOne(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", "old\n")
	put(t, dir+"/live.log", "old but live\n")
	s := follow(t, dir, Bounds{Age: time.Hour}, &checkpoint.State{})
	long := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"/a.log", "/live.log"} {
		if err := os.Chtimes(dir+name, long, long); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(dir+"/a.log", dir+"/a.log.1"); err != nil {
		t.Fatal(err)
	}
	s.scan()
	if got := readAll(s); got != "old but live\n" {
		t.Errorf("%q was read", got)
	}
	if n := testutil.ToFloat64(s.count.DroppedRecords.WithLabelValues("max_age")); n != 1 {
		t.Errorf("%v records are counted as dropped, want 1", n)
	}
}

func TestDrop_IsNotUndoneByABatchThatWasUnderWay(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", strings.Repeat("line\n", 1000))
	s := follow(t, dir, Bounds{}, &checkpoint.State{})
	g := s.Ready(0, nil)[0]
	seg, _, _ := s.Read(0, g, make([]byte, 3000), nil, nil)
	s.drop(g, "max_age")
	s.Acknowledge(0, []Segment{seg}, "")
	if left := s.Backlog(0); left != 0 || !slices.Contains(s.order, g) {
		t.Errorf("%d bytes are left to deliver of a dropped file", left)
	}
	if s.retire(time.Now()); len(s.order) != 0 {
		t.Error("the dropped file is still held")
	}
}

func TestGenerationID_DiffersForAFileThatBeganAnewUnseenAndIsRepeatedForTheSameOne(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/a.log", "")
	state := follow(t, dir, Bounds{}, &checkpoint.State{}).Snapshot() // saved before anything was written
	state.Saved = time.Now()
	first := func() uint64 {
		s := follow(t, dir, Bounds{}, state)
		seg, _, verdict := s.Read(0, s.Ready(0, nil)[0], make([]byte, 4096), nil, nil)
		if verdict != Took {
			t.Fatal("nothing was read")
		}
		return seg.Chunk.Source.Generation
	}
	put(t, dir+"/a.log", "first life\n")
	before := first()
	put(t, dir+"/a.log", "goes on\n")
	if again := first(); again != before {
		t.Errorf("the same file, read again after a kill, is generation %x and then %x", before, again)
	}
	if err := os.Truncate(dir+"/a.log", 0); err != nil {
		t.Fatal(err)
	}
	put(t, dir+"/a.log", "second life\n")
	if anew := first(); anew == before {
		t.Error("a file that was truncated unseen has the ID of what it held before")
	}
}
