package output

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// FileConfig is a file that records are appended to.
type FileConfig struct {
	Path   string    `yaml:"path" doc:"The file; its folder is made when it is missing."`
	Format string    `yaml:"format,omitempty" enum:"jsonl,lines" doc:"jsonl (default): a JSON object for each record. lines: as they stand."`
	Rotate conf.Size `yaml:"rotate,omitempty" doc:"Size at which the file becomes PATH.1; 0 never."`
	Keep   int       `yaml:"keep,omitempty" doc:"How many rotated files are kept; default 5."`
}

const defaultKeep = 5

func (c *FileConfig) isDirectory() bool {
	info, err := os.Stat(c.Path)
	return strings.HasSuffix(c.Path, "/") || err == nil && info.IsDir()
}

// File appends to a file and acknowledges after fsync. How long the file was is remembered with the positions, and at a
// start it is cut to that length: what had been written but not yet remembered is written again, never twice.
type File struct {
	lines
	config FileConfig
	file   *os.File
	mark   fileMark
	dirty  bool // a write failed and may have left a part behind
}

// fileMark is the state in the checkpoint.
type fileMark struct {
	Size  int64  `json:"size"`  // acknowledged bytes
	Inode uint64 `json:"inode"` // of the file that they are in
}

// NewFile makes the output; the file is opened by the first Send, so that a volume may come later.
func NewFile(c FileConfig, env Env) *File {
	if c.Keep <= 0 {
		c.Keep = defaultKeep
	}
	return &File{lines: newLines(c.Format != "lines", env), config: c}
}

// State is what Resume takes after a restart.
func (f *File) State() string {
	text, _ := json.Marshal(f.mark) // two numbers: cannot fail
	return string(text)
}

// Resume takes back what the file has beyond state. Where the file was rotated after state had been saved, the rotation is
// taken back too. At the first start, what is there already is what stays.
func (f *File) Resume(state string) error {
	if state == "" {
		_ = f.reopen() // Send tries again, and says so
		return nil
	}
	if err := json.Unmarshal([]byte(state), &f.mark); err != nil {
		return fmt.Errorf("resume %s: %w", f.config.Path, err)
	}
	rotated := f.config.Path + ".1"
	if f.mark.Inode != 0 && inodeOf(f.config.Path) != f.mark.Inode && inodeOf(rotated) == f.mark.Inode {
		if err := os.Rename(rotated, f.config.Path); err != nil {
			return fmt.Errorf("resume %s: %w", f.config.Path, err)
		}
	}
	if inodeOf(f.config.Path) == f.mark.Inode {
		return f.cut()
	}
	return nil
}

// cut truncates the file to what is acknowledged, when it is longer.
func (f *File) cut() error {
	info, err := os.Stat(f.config.Path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() <= f.mark.Size {
		return nil
	}
	if err == nil {
		err = os.Truncate(f.config.Path, f.mark.Size)
	}
	if err != nil {
		return fmt.Errorf("cut %s to what was acknowledged: %w", f.config.Path, err)
	}
	return nil
}

// Send appends one body and waits until the disk has it.
func (f *File) Send(_ context.Context, b *Batch) error {
	if err := f.write(b.Body); err != nil {
		f.dirty = true
		return &Retryable{Reason: "write", Err: err}
	}
	return nil
}

func (f *File) write(body []byte) error {
	if f.dirty && f.file != nil {
		if err := f.file.Truncate(f.mark.Size); err != nil {
			return err
		}
	}
	f.dirty = false
	if err := f.open(int64(len(body))); err != nil {
		return err
	}
	if _, err := f.file.Write(body); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.mark.Size += int64(len(body))
	return nil
}

// open makes f.file the file to append n more bytes to. One that somebody else has moved away or deleted is left to them.
func (f *File) open(n int64) error {
	if f.file != nil && inodeOf(f.config.Path) != f.mark.Inode {
		_ = f.file.Close()
		f.file = nil
	}
	if f.file == nil {
		if err := f.reopen(); err != nil {
			return err
		}
	}
	if f.config.Rotate <= 0 || f.mark.Size == 0 || f.mark.Size+n <= int64(f.config.Rotate) {
		return nil
	}
	if err := f.rotate(); err != nil {
		return err
	}
	return f.reopen()
}

// reopen opens the file at its end.
func (f *File) reopen() error {
	if err := os.MkdirAll(filepath.Dir(f.config.Path), 0o750); err != nil {
		return err
	}
	file, err := os.OpenFile(f.config.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file = file
	f.mark = fileMark{Size: info.Size(), Inode: inode(info)}
	return nil
}

// rotate moves PATH.1 to PATH.2 and so on, and PATH to PATH.1. After a failure in the middle it may be called again.
func (f *File) rotate() error {
	for i := f.config.Keep - 1; i >= 1; i-- {
		err := os.Rename(f.numbered(i), f.numbered(i+1))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(f.config.Path, f.numbered(1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := f.file.Close()
	f.file = nil
	return err
}

func (f *File) numbered(i int) string { return f.config.Path + "." + strconv.Itoa(i) }

// Close closes the file.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

func inodeOf(path string) uint64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return inode(info)
}

func inode(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
