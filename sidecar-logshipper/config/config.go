// Package config is the shipper's configuration: flags, environment and YAML fill one struct.
package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/deliver"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/parse"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/shape"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/spool"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/tail"
)

// Config is the whole of it.
type Config struct {
	conf.Common `yaml:",inline"`
	Inputs      []Input           `yaml:"inputs" doc:"Files to follow; the first input that matches a file owns it."`
	Shape       shape.Config      `yaml:"shape,omitempty" doc:"Steps that every record goes through, in this order."`
	Outputs     []output.Config   `yaml:"outputs" doc:"Where every record goes; each output has its own position in every file."`
	Labels      map[string]string `yaml:"labels,omitempty" doc:"Fields or labels on every record."`
	State       string            `yaml:"state" doc:"Directory of the checkpoint and the dead letters; none keeps them in memory. The default is used only where it exists."`
	Start       string            `yaml:"start" enum:"beginning,end" doc:"Where to begin in files that are there at the very first start."`
	Memory      conf.Size         `yaml:"memory" doc:"Bound on what is read and not yet acknowledged, over all outputs."`
	Once        bool              `yaml:"once,omitempty" doc:"Read to the end, deliver, exit: with 1 when something could not be read."`
	UntilFile   string            `yaml:"until_file,omitempty" doc:"Deliver what is there and exit when this file appears."`
	Spool       conf.Size         `yaml:"spool" doc:"Bound on what each stream (standard input, pipe, socket) keeps on disk until it is delivered."`
	OnFull      string            `yaml:"on_full" enum:"wait,drop" doc:"What a stream does when its spool is full: let the writer wait, or drop what comes; dropped records are counted."`
	MaxHeld     conf.Size         `yaml:"max_held,omitempty" doc:"Bound on the deleted files that are held until they are delivered; the oldest beyond it are dropped, and counted. Default: no bound."`
	MaxAge      conf.Duration     `yaml:"max_age,omitempty" doc:"A rotated file that was last written longer ago is dropped where it is not delivered yet, and counted. Default: never."`
}

// Input is one group of files.
type Input struct {
	Paths        []string `yaml:"paths" doc:"Globs; ** crosses directories, {a,b} is a choice. Or a stream: - (standard input), unix:/path, or a named pipe."`
	Exclude      []string `yaml:"exclude,omitempty" doc:"Globs to leave out; without a slash they match the file name."`
	parse.Config `yaml:",inline"`
	MaxLine      conf.Size `yaml:"max_line,omitempty" doc:"Longest record; default 1MiB."`
	MaxLineMode  string    `yaml:"max_line_mode,omitempty" enum:"truncate,split,drop" doc:"What happens to a longer one; it is counted either way."`
}

// DefaultState is where a volume for the state is expected.
const DefaultState = "/state"

// NoState as State keeps positions in memory.
const NoState = "none"

// Default is the configuration without flags and file.
func Default() Config {
	return Config{State: DefaultState, Start: "beginning", Memory: 16 << 20, Spool: 256 << 20, OnFull: spool.OnFullWait}
}

// Flags binds the flags that conventions do not.
func Flags(f *conf.Flags, c *Config) {
	f.List("path", "glob of files to follow, or a stream", func(v []string) error {
		c.Inputs = []Input{{Paths: v}}
		return nil
	})
	f.List("exclude", "glob to leave out", func(v []string) error {
		return c.eachInput(func(in *Input) error { in.Exclude = v; return nil })
	})
	f.Words("format", "how a record is written", func(v []string) error {
		return c.eachInput(func(in *Input) error { in.Format = v[len(v)-1]; return nil })
	})
	f.List("multiline", "java, python, go, indent, or the regular expression of a first line", func(v []string) error {
		return c.eachInput(func(in *Input) error { return in.SetMultiline(v[len(v)-1]) })
	})
	f.List("to", "output URL", func(v []string) error {
		c.Outputs = nil
		for _, raw := range v {
			o, err := output.FromURL(raw)
			if err != nil {
				return err
			}
			c.Outputs = append(c.Outputs, o)
		}
		return nil
	})
	f.List("label", "k=v on every record", func(v []string) error {
		c.Labels = map[string]string{}
		for _, label := range v {
			name, value, ok := strings.Cut(label, "=")
			if !ok || name == "" {
				return fmt.Errorf("%q is not name=value", label)
			}
			c.Labels[name] = value
		}
		return nil
	})
	f.String(&c.State, "state", "directory of the checkpoint, or none")
	f.Enum(&c.Start, "start", []string{"beginning", "end"}, "where to begin in files that are there at the first start")
	f.Size(&c.Memory, "memory", "bound on what is read and not yet acknowledged")
	f.Bool(&c.Once, "once", "read to the end, deliver, exit")
	f.String(&c.UntilFile, "until-file", "deliver and exit when this file appears")
}

// eachInput changes all inputs: flags are about the one that --path makes, or about every one of the file.
func (c *Config) eachInput(change func(*Input) error) error {
	if len(c.Inputs) == 0 {
		return fmt.Errorf("needs --path, or inputs in the configuration file")
	}
	for i := range c.Inputs {
		if err := change(&c.Inputs[i]); err != nil {
			return err
		}
	}
	return nil
}

// Complete fills what each input left out.
func (c *Config) Complete() {
	for i := range c.Inputs {
		in := &c.Inputs[i]
		if in.MaxLine == 0 {
			in.MaxLine = 1 << 20
		}
		if in.MaxLineMode == "" {
			in.MaxLineMode = tail.OverlongTruncate
		}
	}
}

// Validate notes everything that is wrong.
func (c *Config) Validate(p *conf.Problems) {
	if len(c.Inputs) == 0 {
		p.Add("inputs", "is missing", "say --path '/var/log/app/*.log'")
	}
	for i := range c.Inputs {
		c.Inputs[i].validate(p, fmt.Sprintf("inputs[%d]", i))
		c.validateLoops(p, i)
	}
	if len(c.Outputs) == 0 {
		p.Add("outputs", "is missing", "say --to stdout: or --to loki+http://loki:3100")
	}
	var names []string
	if c.MaxAge < 0 {
		p.Add("max_age", fmt.Sprintf("%s is negative", c.MaxAge), "remove it for no bound")
	}
	if c.Spool < 256<<10 {
		p.Add("spool", fmt.Sprintf("%s is too little", c.Spool), "at least 256KiB; the default is 256MiB")
	}
	for i := range c.Outputs {
		path := fmt.Sprintf("outputs[%d]", i)
		c.Outputs[i].Validate(p, path)
		name := c.Outputs[i].Name()
		if slices.Contains(names, name) {
			p.Add(path, fmt.Sprintf("has the same name as another output: %s", name), "give each a name: of its own")
		}
		names = append(names, name)
	}
	c.Shape.Validate(p, "shape")
	var least conf.Size
	for i := range c.Outputs {
		least += conf.Size(deliver.BatchingFor(&c.Outputs[i]).Memory())
	}
	if len(c.Outputs) == 0 { // which is a mistake of its own
		least = conf.Size(deliver.BatchingFor(&output.Config{}).Memory())
	}
	if c.Memory < least {
		p.Add("memory", fmt.Sprintf("%s is too little", c.Memory), fmt.Sprintf("at least %dKiB for these outputs", (least+1023)/1024))
	}
}

func (in *Input) validate(p *conf.Problems, path string) {
	if len(in.Paths) == 0 {
		p.Add(path+".paths", "is missing", "write a list of globs")
	}
	for i, g := range in.Paths {
		if g == "" {
			p.Add(fmt.Sprintf("%s.paths[%d]", path, i), "is empty", "write a glob such as /var/log/app/*.log")
		}
		if spool.IsStream(g, "") {
			continue
		}
		if err := find.Check(g); err != nil {
			p.Add(fmt.Sprintf("%s.paths[%d]", path, i), err.Error(), "")
		}
	}
	for i, g := range in.Exclude {
		if err := find.Check(g); err != nil {
			p.Add(fmt.Sprintf("%s.exclude[%d]", path, i), err.Error(), "")
		}
	}
	in.Config.Validate(p, path)
	if in.MaxLine < 1<<10 || in.MaxLine > 64<<20 {
		p.Add(path+".max_line", fmt.Sprintf("%s is not between 1KiB and 64MiB", in.MaxLine), "")
	}
}

// defaultFlush is the quiet time after which the last record of a multi-line input counts as complete.
const defaultFlush = time.Second

// Tails are what package tail follows for the input: its files, and the spool of each of its streams below the state
// directory. joined says that records may span lines.
func (in *Input) Tails(joined bool, state string) (list []tail.Input) {
	var flush time.Duration
	if joined {
		flush = defaultFlush
		if in.Multiline != nil && in.Multiline.Flush > 0 {
			flush = in.Multiline.Flush.D()
		}
	}
	files := tail.Input{Globs: find.Globs{Exclude: in.Exclude}, MaxLine: int(in.MaxLine), Overlong: in.MaxLineMode, Flush: flush}
	for _, p := range in.Paths {
		if !spool.IsStream(p, state) {
			files.Paths = append(files.Paths, p)
			continue
		}
		segments := files
		segments.Stream, segments.Globs = p, find.Globs{Paths: []string{spool.Glob(spool.Dir(state, p))}}
		if p == spool.Stdin {
			segments.Stream = "stdin"
		}
		list = append(list, segments)
	}
	if len(files.Paths) > 0 {
		list = append(list, files)
	}
	return list
}

// Streams are the paths that are no files by now; see spool.IsStream.
func (c *Config) Streams(state string) (names []string) {
	for i := range c.Inputs {
		for _, p := range c.Inputs[i].Paths {
			if spool.IsStream(p, state) && !slices.Contains(names, p) {
				names = append(names, p)
			}
		}
	}
	return names
}

// OnlyStdin says that there is nothing to follow but standard input, so that its end is the end of the work.
func (c *Config) OnlyStdin() bool {
	for i := range c.Inputs {
		if !slices.Equal(c.Inputs[i].Paths, []string{spool.Stdin}) {
			return false
		}
	}
	return true
}
