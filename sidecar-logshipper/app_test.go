package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// app writes a log file the way applications and log rotation do. Every line has an ID: its generation and its number.
type app struct {
	t    *testing.T
	path string
	f    *os.File
	gen  int
	next int

	whole   []string // IDs of the lines that are complete
	partial string   // ID of a line that has no newline yet
	pad     string
}

func newApp(t *testing.T, path string) *app {
	a := &app{t: t, path: path, pad: strings.Repeat("x", 80)}
	a.reopen()
	t.Cleanup(func() { _ = a.f.Close() })
	return a
}

func (a *app) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *app) reopen() {
	if a.f != nil {
		a.check(a.f.Close())
	}
	f, err := os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	a.check(err)
	a.f = f
	a.gen++
}

func (a *app) id() string {
	a.next++
	return fmt.Sprintf("%s/%d/%06d", filepath.Base(a.path), a.gen, a.next)
}

// write appends n lines in one write(2).
func (a *app) write(n int) {
	a.endPartial()
	var b strings.Builder
	for range n {
		id := a.id()
		fmt.Fprintf(&b, "%s %s\n", id, a.pad)
		a.whole = append(a.whole, id)
	}
	_, err := a.f.WriteString(b.String())
	a.check(err)
}

// poison appends a line that no destination takes.
func (a *app) poison() {
	a.endPartial()
	_, err := fmt.Fprintf(a.f, "%s POISON\n", a.id())
	a.check(err)
}

// writePartial appends the first half of a line.
func (a *app) writePartial() {
	if a.partial == "" {
		a.partial = a.id()
		_, err := fmt.Fprintf(a.f, "%s half", a.partial)
		a.check(err)
	}
}

func (a *app) endPartial() {
	if a.partial != "" {
		_, err := a.f.WriteString(" done\n")
		a.check(err)
		a.whole, a.partial = append(a.whole, a.partial), ""
	}
}

// shift moves the rotated files one number up, the highest first.
func (a *app) shift() {
	for i := 30; i >= 1; i-- {
		for _, ext := range []string{"", ".gz"} {
			old := fmt.Sprintf("%s.%d%s", a.path, i, ext)
			if _, err := os.Stat(old); err == nil {
				a.check(os.Rename(old, fmt.Sprintf("%s.%d%s", a.path, i+1, ext)))
			}
		}
	}
}

// rename rotates by renaming. late lines still go to the renamed file, as an app does that has not been told yet.
func (a *app) rename(late int) {
	a.endPartial()
	a.shift()
	a.check(os.Rename(a.path, a.path+".1"))
	if late > 0 {
		a.write(late)
	}
	a.reopen()
}

// copyTruncate rotates by copying; the app does not write meanwhile.
func (a *app) copyTruncate() {
	a.endPartial()
	a.shift()
	in, err := os.Open(a.path)
	a.check(err)
	defer in.Close()
	out, err := os.Create(a.path + ".1")
	a.check(err)
	_, err = io.Copy(out, in)
	a.check(err)
	a.check(out.Close())
	a.truncate()
}

func (a *app) truncate() {
	a.check(os.Truncate(a.path, 0))
	a.gen++
}

// remove deletes the file and starts a new one.
func (a *app) remove() {
	a.endPartial()
	a.check(os.Remove(a.path))
	a.reopen()
}

// compress replaces the newest rotated file by its gzip.
func (a *app) compress() {
	name := a.path + ".1"
	data, err := os.ReadFile(name)
	if err != nil {
		return // nothing rotated yet, or compressed already
	}
	f, err := os.Create(name + ".gz")
	a.check(err)
	z := gzip.NewWriter(f)
	_, err = z.Write(data)
	a.check(err)
	a.check(z.Close())
	a.check(f.Close())
	a.check(os.Remove(name))
}
