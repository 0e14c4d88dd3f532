package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/spool"
)

// validateLoops refuses an input that follows what the shipper writes itself: each line that is shipped would make another one.
func (c *Config) validateLoops(p *conf.Problems, i int) {
	in := &c.Inputs[i]
	if slices.ContainsFunc(c.stateFiles(), in.follows) {
		p.Add("state", fmt.Sprintf("%s is among the files of inputs[%d]", c.State, i), fmt.Sprintf("say --exclude '%s'", filepath.Join(c.State, "**")))
	}
	for o := range c.Outputs {
		f := c.Outputs[o].File
		if f == nil || f.Path == "" {
			continue
		}
		if in.follows(f.Path) || f.Rotate > 0 && in.follows(f.Path+".1") {
			p.Add(fmt.Sprintf("outputs[%d].file.path", o), fmt.Sprintf("%s is among the files of inputs[%d]", f.Path, i), fmt.Sprintf("write it elsewhere, or say --exclude '%s*'", filepath.Base(f.Path)))
		}
	}
}

// stateFiles are examples of what stands in the state directory.
func (c *Config) stateFiles() (list []string) {
	if _, err := os.Stat(c.State); c.State == NoState || c.State == "" || c.State == DefaultState && err != nil {
		return nil
	}
	list = append(list, filepath.Join(c.State, "checkpoint.json"), filepath.Join(c.State, "dead", "dead.jsonl"))
	if len(c.Streams("")) > 0 {
		list = append(list, filepath.Join(c.State, "spool", "-", "00000001.log"))
	}
	return list
}

// follows says that the input's globs match a path, however both are written.
func (in *Input) follows(path string) bool {
	g := find.Globs{Exclude: absolute(in.Exclude)}
	for _, pattern := range in.Paths {
		if pattern != "" && !spool.IsStream(pattern, "") {
			g.Paths = append(g.Paths, pattern)
		}
	}
	g.Paths = absolute(g.Paths)
	return g.Matches(absolute([]string{path})[0])
}

// absolute is paths from the root; a pattern without a slash may be for names alone and stays in the list as well.
func absolute(paths []string) (list []string) {
	for _, path := range paths {
		if abs, err := filepath.Abs(path); err == nil {
			list = append(list, abs)
		}
		if !strings.Contains(path, "/") {
			list = append(list, path)
		}
	}
	return list
}
