package source

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
)

// Lines takes what a Follower reads.
type Lines interface {
	LineDecoder
	// Unreadable is told at each attempt why a file cannot be read, that there is none too (fs.ErrNotExist), and nil once
	// there is no such reason any more.
	Unreadable(why error)
}

// A Follower hands on the lines of log files.
type Follower interface {
	// Run follows the files until ctx ends, then reads what is there. Called again it goes on where it stopped.
	Run(ctx context.Context, to Lines)
	// Close lets go of the files, when Run is over.
	Close()

	follows(path string) bool // that file, or that pattern
	names(file string) bool
	files() []*Tail
}

// Follow opens the log file of that name, or those of a pattern; fromStart reads also what they hold already. In what before,
// which may be nil and is used up, has been reading it goes on where that stopped.
func Follow(path string, fromStart bool, before Follower, log *slog.Logger) Follower {
	if before != nil && before.follows(path) {
		return before
	}
	var f Follower
	if IsPattern(path) {
		f = OpenTails(path, fromStart, log)
	} else {
		f = OpenTail(path, fromStart)
	}
	if before != nil {
		for _, t := range f.files() {
			t.readOn(before)
		}
		before.Close()
	}
	return f
}

// readOn goes on where a follower stopped in the same file, and reads one from its beginning that has since taken a name
// which it followed.
func (t *Tail) readOn(before Follower) {
	mine, err := t.file.Stat()
	if err != nil {
		return
	}
	for _, o := range before.files() {
		if info, err := o.file.Stat(); err == nil && os.SameFile(info, mine) {
			t.offset, t.rest = o.offset, o.rest
			return
		}
	}
	if before.names(t.path) {
		t.offset = 0
	}
}

func (t *Tail) follows(path string) bool { return t.path == path }

func (t *Tail) names(file string) bool { return filepath.Clean(t.path) == filepath.Clean(file) }

func (t *Tail) files() []*Tail {
	if t.file == nil {
		return nil
	}
	return []*Tail{t}
}

func (t *Tails) follows(path string) bool { return t.pattern == path }

func (t *Tails) names(file string) bool {
	ok, _ := filepath.Match(t.pattern, file)
	return ok
}

func (t *Tails) files() (out []*Tail) {
	for _, f := range t.open {
		out = append(out, &f.Tail)
	}
	return out
}
