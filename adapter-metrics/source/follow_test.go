package source

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// once runs a follower for as long as it takes to read what is there.
func once(t *testing.T, f Follower, to Lines) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.Run(ctx, to)
}

func TestFollow_GoesOnWhereTheFollowerBeforeItStopped(t *testing.T) {
	for _, c := range []struct{ before, after string }{
		{"a.log", "a.log"}, {"*.log", "*.log"}, {"a.log", "*.log"}, {"*.log", "a.log"}, {"*.log", "a*"}, {"a.log", "../logs/a.log"},
	} {
		for _, fromStart := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "logs")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			file, log, got := filepath.Join(dir, "a.log"), slog.New(slog.DiscardHandler), &collected{}
			grow(t, file, "")
			f := Follow(dir+"/"+c.before, fromStart, nil, log)
			grow(t, file, "one\ntw")
			once(t, f, got)
			grow(t, file, "o\nthree\n") // while nobody reads
			f = Follow(dir+"/"+c.after, fromStart, f, log)
			grow(t, file, "four\n")
			once(t, f, got)
			f.Close()
			if got.String() != "one\ntwo\nthree\nfour\n" {
				t.Errorf("%s, then %s, from the start %v: %q", c.before, c.after, fromStart, got)
			}
		}
	}
}

func TestFollow_TheSamePathReadsAFileThatWasRenamedMeanwhileToItsEnd(t *testing.T) {
	for _, path := range []string{"a.log", "*.log"} {
		dir := t.TempDir()
		file, log, got := filepath.Join(dir, "a.log"), slog.New(slog.DiscardHandler), &collected{}
		grow(t, file, "")
		f := Follow(filepath.Join(dir, path), false, nil, log)
		grow(t, file, "one\n")
		once(t, f, got)
		grow(t, file, "late\n")
		if err := os.Rename(file, file+".1"); err != nil {
			t.Fatal(err)
		}
		grow(t, file, "new\n")
		f = Follow(filepath.Join(dir, path), false, f, log)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); f.Run(ctx, got) }()
		becomes(t, got, "one\nlate\nnew\n")
		cancel()
		<-done
		f.Close()
	}
}

func TestFollow_AnotherPathReadsAFileThatWasRotatedInMeanwhileFromItsStart(t *testing.T) {
	for _, c := range []struct{ before, after string }{{"a.log", "a.log*"}, {"*.log", "a.log"}} {
		dir := t.TempDir()
		file, log, got := filepath.Join(dir, "a.log"), slog.New(slog.DiscardHandler), &collected{}
		grow(t, filepath.Join(dir, "a.log.1"), "long ago\n")
		grow(t, file, "")
		f := Follow(filepath.Join(dir, c.before), false, nil, log)
		grow(t, file, "one\n")
		once(t, f, got)
		if err := os.Rename(file, file+".2"); err != nil {
			t.Fatal(err)
		}
		grow(t, file, "new\n")
		f = Follow(filepath.Join(dir, c.after), false, f, log)
		once(t, f, got)
		f.Close()
		if got.String() != "one\nnew\n" {
			t.Errorf("%s, then %s: %q", c.before, c.after, got)
		}
	}
}
