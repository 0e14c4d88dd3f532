// Package parse looks into records: it finds where they end when they span lines, and turns their text into a time, a
// level, a message and fields. It is only used where the configuration, or an output, asks for it. A record that is not
// in the format it should be in passes as it is: parsing loses nothing.
package parse

import (
	"bytes"
	"fmt"
	"regexp"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// Config says how the records of an input are written.
type Config struct {
	Format    string     `yaml:"format,omitempty" enum:"auto,raw,json,logfmt,cri,docker,combined,syslog,klog,regex" doc:"How a record is written; auto (default) looks at each."`
	Pattern   string     `yaml:"pattern,omitempty" doc:"For format regex: groups named (?P<field>…) become fields."`
	Timestamp Timestamp  `yaml:"timestamp,omitempty"`
	Level     string     `yaml:"level,omitempty" doc:"Field that holds the level; default the usual names."`
	Message   string     `yaml:"message,omitempty" doc:"Field that holds the message; default the usual names."`
	Multiline *Multiline `yaml:"multiline,omitempty"`
	Encoding  string     `yaml:"encoding,omitempty" enum:"utf-8,utf-16le,utf-16be,latin1,windows-1252" doc:"Of the file; default utf-8."`
}

// Timestamp says where a record has its time.
type Timestamp struct {
	Field  string `yaml:"field,omitempty" doc:"Field that holds the time; default the usual names."`
	Layout string `yaml:"layout,omitempty" doc:"rfc3339, unix, unix_ms, unix_us, unix_ns, rfc1123, ansic, combined, %Y-%m-%d…, or a Go layout; default: the usual ones are tried."`
	Zone   string `yaml:"zone,omitempty" doc:"Of times that name none: UTC (default), Local, +02:00, or an IANA name where ZONEINFO or the machine has a zone database."`
}

// Multiline says which lines belong together.
type Multiline struct {
	Preset   string        `yaml:"preset,omitempty" enum:"java,python,go,indent" doc:"Joins the stack traces of a language, or indented lines."`
	Start    string        `yaml:"start,omitempty" doc:"Regular expression of the first line of a record; anchor it with ^."`
	MaxLines int           `yaml:"max_lines,omitempty" doc:"A record ends after so many lines; default 500."`
	Flush    conf.Duration `yaml:"flush,omitempty" doc:"How long a file is quiet before its last record counts as complete; default 1s."`
}

// SetMultiline takes the value of --multiline: a preset's name or a regular expression.
func (c *Config) SetMultiline(v string) error {
	m := Multiline{}
	if c.Multiline != nil {
		m = *c.Multiline
	}
	m.Preset, m.Start = "", ""
	if presetRule(v) != nil {
		m.Preset = v
	} else {
		if _, err := regexp.Compile(v); err != nil {
			return fmt.Errorf("%q is neither java, python, go, indent nor a regular expression: %w", v, err)
		}
		m.Start = v
	}
	c.Multiline = &m
	return nil
}

// Validate notes what is wrong with c, which stands at path.
func (c *Config) Validate(p *conf.Problems, path string) {
	if _, err := regexp.Compile(c.Pattern); err != nil {
		p.Add(path+".pattern", err.Error(), "")
	}
	if (c.Format == "regex") != (c.Pattern != "") {
		p.Add(path+".pattern", "goes with format: regex, and the other way round", "")
	}
	if _, err := zone(c.Timestamp.Zone); err != nil {
		p.Add(path+".timestamp.zone", err.Error(), "")
	}
	if layout := c.Timestamp.Layout; !namesTime(layout) {
		p.Add(path+".timestamp.layout", fmt.Sprintf("%q names no part of a time", layout), "write %Y-%m-%d %H:%M:%S, a Go layout such as 2006-01-02 15:04:05, or rfc3339, unix, unix_ms, rfc1123, ansic, combined")
	} else if unknown := unknownDirective(layout); unknown != "" {
		p.Add(path+".timestamp.layout", fmt.Sprintf("has %q, which is unknown", unknown), "known are %Y %y %m %d %e %H %I %p %M %S %L %f %N %b %B %a %A %z %Z %T %F %%")
	}
	if m := c.Multiline; m != nil {
		m.validate(p, path+".multiline")
	}
}

func (m *Multiline) validate(p *conf.Problems, path string) {
	if (m.Preset == "") == (m.Start == "") {
		p.Add(path, "wants exactly one of preset and start", "")
	}
	if _, err := regexp.Compile(m.Start); err != nil {
		p.Add(path+".start", err.Error(), "")
	}
	if m.MaxLines < 0 {
		p.Add(path+".max_lines", "is negative", "")
	}
}

// Warnings names what works but costs: an unanchored expression is tried at every byte of a line.
func (c *Config) Warnings() []string {
	var w []string
	if c.Pattern != "" && c.Pattern[0] != '^' {
		w = append(w, "pattern is not anchored with ^: it is tried at every byte, which costs a hundred times as much")
	}
	if m := c.Multiline; m != nil && m.Start != "" && m.Start[0] != '^' {
		w = append(w, "multiline.start is not anchored with ^: it is tried at every byte of every line")
	}
	return w
}

// New makes what c asks for. framer is nil when every newline ends a record; stage is nil when there is nothing to parse,
// which is also so for format auto when nobody wants parsed records.
func New(c Config, wantsParsed bool) (framer record.Framer, stage record.Stage, err error) {
	framer, err = newFramer(c)
	if err != nil {
		return nil, nil, err
	}
	encoded := c.Encoding != "" && c.Encoding != "utf-8"
	format := c.Format
	if format == "" {
		format = "auto"
	}
	if !encoded && (format == "raw" || format == "auto" && !wantsParsed) {
		return framer, nil, nil
	}
	parser, err := newParser(format, c.Pattern)
	if err != nil {
		return nil, nil, err
	}
	loc, err := zone(c.Timestamp.Zone)
	if err != nil {
		return nil, nil, err
	}
	return framer, &records{parse: parser, decode: decoder(c.Encoding), names: c.names(), clock: newClock(c.Timestamp.Layout, loc)}, nil
}

// parser finds fields in r.Message, and may set more; false means that the record is not in its format.
type parser func(r *record.Record, c *clock) bool

func newParser(format, pattern string) (parser, error) {
	switch format {
	case "auto":
		return parseAuto, nil
	case "json":
		return parseJSON, nil
	case "logfmt":
		return parseLogfmt, nil
	case "cri":
		return parseCRI, nil
	case "docker":
		return parseDocker, nil
	case "combined":
		return parseCombined, nil
	case "syslog":
		return parseSyslog, nil
	case "klog":
		return parseKlog, nil
	case "regex":
		return newRegex(pattern)
	case "raw":
		return func(*record.Record, *clock) bool { return true }, nil
	default:
		return nil, fmt.Errorf("unknown format %q", format)
	}
}

// records is the record.Stage of an input.
type records struct {
	parse  parser
	decode func(dst, raw []byte, first bool) []byte // nil for UTF-8
	names  names
	clock  *clock
}

// Apply parses r. It never drops a record.
func (s *records) Apply(r *record.Record) (drop string) {
	if s.decode != nil {
		r.Message = r.Scratch(func(dst []byte) []byte { return s.decode(dst, r.Raw, r.Offset == 0) })
	}
	if r.Offset == 0 {
		r.Message = bytes.TrimPrefix(r.Message, []byte("\ufeff")) // a byte order mark, which is no part of the text
	}
	if whole := r.Message; !s.parse(r, s.clock) {
		r.Message, r.Fields, r.Level = whole, r.Fields[:0], ""
		return ""
	}
	s.names.promote(r, s.clock)
	return ""
}

// zone reads UTC, Local, +02:00 or an IANA name; empty is UTC. Names are looked up in the zone database of the machine, which
// the image does not have.
func zone(name string) (*time.Location, error) {
	if t, err := time.Parse("-07:00", name); err == nil {
		_, offset := t.Zone()
		return time.FixedZone(name, offset), nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is not in the zone database of this machine (mount a zoneinfo folder and name it in ZONEINFO, or write +02:00)", name)
	}
	return loc, nil
}
