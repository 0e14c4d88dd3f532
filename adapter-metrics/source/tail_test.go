package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// collected is a decoder that keeps what it gets.
type collected struct {
	mu   sync.Mutex
	text string
	why  []error // there was to read nothing
}

func (c *collected) Decode(lines []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text += string(lines)
}

func (c *collected) Unreadable(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.why = append(c.why, why)
}

func (c *collected) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text
}

// follow tails path until the test ends.
func follow(t *testing.T, path string, fromStart bool) *collected {
	got := &collected{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	tail := OpenTail(path, fromStart)
	wg.Go(func() { tail.Run(ctx, got) })
	t.Cleanup(func() { cancel(); wg.Wait(); tail.Close() })
	return got
}

func grow(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func becomes(t *testing.T, got *collected, want string) {
	t.Helper()
	kittest.Eventually(t, 5*time.Second, func() bool { return got.String() == want }, fmt.Sprintf("%d bytes that end in %q", len(want), want[max(0, len(want)-20):]))
}

func TestTail_ReadsAFileThatAppearsLaterFromItsStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	got := follow(t, path, false)
	grow(t, path, "one\ntw")
	becomes(t, got, "one\n")
	grow(t, path, "o\n")
	becomes(t, got, "one\ntwo\n")
}

func TestTail_FromStartReadsWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	grow(t, path, "old\n")
	becomes(t, follow(t, path, true), "old\n")
}

func TestTail_KeepsLinesAcrossRenames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	got := follow(t, path, false)
	want := ""
	for i := range 5 {
		line := fmt.Sprintf("before %d\n", i)
		grow(t, path, line)
		if want += line; i == 0 {
			becomes(t, got, want)
		}
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Fatal(err)
		}
		late := fmt.Sprintf("late %d\n", i)
		grow(t, fmt.Sprintf("%s.%d", path, i), late) // the app has not reopened yet
		next := fmt.Sprintf("after %d\n", i)
		grow(t, path, next)
		want += late + next
		becomes(t, got, want)
	}
}

func TestTail_StartsAgainAfterATruncation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	got := follow(t, path, false)
	grow(t, path, strings.Repeat("long ago\n", 10))
	becomes(t, got, strings.Repeat("long ago\n", 10))
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	grow(t, path, "new\n")
	becomes(t, got, strings.Repeat("long ago\n", 10)+"new\n")
}

func TestTail_HandsOnALineThatIsTooLongInPieces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	got := follow(t, path, false)
	long := strings.Repeat("x", tailBlockBytes+100) + "\nshort\n"
	grow(t, path, long)
	becomes(t, got, long)
}

func TestFollower_TellsWhyItCannotReadAndWhenThatIsOver(t *testing.T) {
	for _, name := range []string{"a.log", "a.lo[g]"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "a.log")
		if err := os.Symlink("/proc/self/mem", file); err != nil { // whose first byte nobody can read
			t.Fatal(err)
		}
		got, log := &collected{}, slog.New(slog.DiscardHandler)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		f := Follow(filepath.Join(dir, name), false, nil, log)
		wg.Go(func() { f.Run(ctx, got) })
		last := func(is func(error) bool) func() bool {
			return func() bool {
				got.mu.Lock()
				defer got.mu.Unlock()
				return len(got.why) > 0 && is(got.why[len(got.why)-1])
			}
		}
		kittest.Eventually(t, 10*time.Second, last(func(why error) bool { return errors.Is(why, syscall.EIO) }), name+" to be unreadable")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		grow(t, file, "x\n")
		kittest.Eventually(t, 10*time.Second, last(func(why error) bool { return why == nil }), name+" to be readable")
		kittest.Eventually(t, 10*time.Second, func() bool { return got.String() == "x\n" }, "its line")
		cancel()
		wg.Wait()
		f.Close()
	}
}
