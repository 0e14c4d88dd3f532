package find

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Globs are the patterns of one input: ** crosses directories, {a,b} is a choice.
type Globs struct {
	Paths []string
	// Exclude wins over Paths. A pattern without a slash is matched against the file's name alone.
	Exclude []string
}

// Check says which pattern is malformed.
func Check(pattern string) error {
	if !doublestar.ValidatePathPattern(pattern) {
		return fmt.Errorf("glob %q is malformed (an unclosed [ or { ?)", pattern)
	}
	return nil
}

// Match expands the patterns. Problems that may pass (a directory that is missing or must not be listed) are returned beside
// what was found, never instead of it.
func (g *Globs) Match() (paths []string, problems []error) {
	seen := map[string]bool{}
	for _, pattern := range g.Paths {
		found, err := doublestar.FilepathGlob(pattern, doublestar.WithFilesOnly())
		if err != nil {
			problems = append(problems, fmt.Errorf("expand %s: %w", pattern, err))
		}
		if len(found) == 0 {
			problems = append(problems, explainNone(pattern))
		}
		for _, p := range found {
			if !seen[p] && !g.excluded(p) {
				seen[p] = true
				paths = append(paths, p)
			}
		}
	}
	return paths, compact(problems)
}

// Matches says that the patterns cover a path, whether or not it exists.
func (g *Globs) Matches(path string) bool {
	for _, p := range g.Paths {
		if ok, _ := doublestar.PathMatch(p, path); ok && !g.excluded(path) {
			return true
		}
	}
	return false
}

// Base is the directory under which a pattern can match: what to watch before anything is there.
func Base(pattern string) string {
	base, _ := doublestar.SplitPattern(filepath.ToSlash(pattern))
	return filepath.Clean(base)
}

func (g *Globs) excluded(path string) bool {
	for _, e := range g.Exclude {
		subject := path
		if !strings.Contains(e, "/") {
			subject = filepath.Base(path)
		}
		if ok, _ := doublestar.PathMatch(e, subject); ok {
			return true
		}
	}
	return false
}

// explainNone says why nothing matched when the reason is one a person can remove; no file yet is a normal state.
func explainNone(pattern string) error {
	base := Base(pattern)
	_, err := os.ReadDir(base)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open %s: permission denied (set securityContext.fsGroup, or run as the app's uid)", base)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("open %s: no such directory (it may still appear; is the volume mounted?)", base)
	}
	return nil
}

func compact(errs []error) []error {
	out := errs[:0]
	for _, e := range errs {
		if e != nil {
			out = append(out, e)
		}
	}
	return out
}
