package source

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// LastLines returns the last n lines of the log file of that name, or of the one of a pattern that was written last, at most
// the longest block that a follower reads.
func LastLines(path string, n int) (file string, lines []byte, err error) {
	if file, err = newest(path); err != nil {
		return file, nil, err
	}
	f, info, err := openRegular(file)
	if err != nil {
		return file, nil, err
	}
	defer f.Close()
	from := max(0, info.Size()-tailBlockBytes)
	lines = make([]byte, info.Size()-from)
	got, err := f.ReadAt(lines, from)
	if got < len(lines) && err != nil {
		return file, nil, err
	}
	if from > 0 { // the first one is cut
		lines = lines[bytes.IndexByte(lines, '\n')+1:]
	}
	all := slices.Collect(bytes.Lines(lines))
	return file, bytes.Join(all[max(0, len(all)-n):], nil), nil
}

func newest(path string) (string, error) {
	if !IsPattern(path) {
		return path, nil
	}
	names, err := filepath.Glob(path)
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no file matches %s", path)
	}
	if err != nil {
		return path, err
	}
	written := func(name string) (t time.Time) {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			t = info.ModTime()
		}
		return t
	}
	return slices.MaxFunc(names, func(a, b string) int {
		return cmp.Or(written(a).Compare(written(b)), cmp.Compare(b, a))
	}), nil
}
