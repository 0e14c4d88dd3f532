package config

import (
	"cmp"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// File is a file on a shared volume: a snapshot that the app writes anew, or lines that it appends.
type File struct {
	Path   string `yaml:"path"`
	Mode   string `yaml:"mode,omitempty" enum:"snapshot,tail" doc:"snapshot reads the whole file at each scrape and is the default; tail follows its lines as log does."`
	Format string `yaml:"format,omitempty" doc:"Of a snapshot, as in document, default json; of lines json or logfmt."`

	MaxAge   conf.Duration `yaml:"max_age,omitempty" doc:"A snapshot that was not written for this long is absent: its writer has died."`
	MaxBytes conf.Size     `yaml:"max_bytes,omitempty" doc:"Longest snapshot; default 64MiB."`

	Pattern   string `yaml:"pattern,omitempty" doc:"With tail, as in log."`
	Regex     string `yaml:"regex,omitempty" doc:"With tail, as in log."`
	FromStart bool   `yaml:"from_start,omitempty" doc:"With tail, as in log."`
}

// validateFile runs before completeFile has replaced the file by what it means.
func (s *Source) validateFile(path string, p *conf.Problems) {
	f := s.file
	if f == nil {
		return
	}
	path += ".file"
	if f.Path == "" {
		p.Add(path+".path", "is missing", "path: /data/stats.json")
	}
	switch {
	case f.Mode == "tail":
		if f.MaxAge != 0 || f.MaxBytes != 0 {
			p.Add(path+".mode", "max_age and max_bytes go with snapshot only", "remove them")
		}
	case f.Pattern != "" || f.Regex != "" || f.FromStart:
		p.Add(path+".mode", "pattern, regex and from_start go with tail only", "mode: tail")
	case decode.Format(cmp.Or(f.Format, "json")) == nil:
		p.Add(path+".format", "unknown format "+f.Format, "see format: of document")
	}
}

// completeFile replaces a file by the document or log that it means; check prints that.
func (s *Source) completeFile() {
	f := s.File
	if f == nil || s.JSON != nil || s.Document != nil || s.Log != nil {
		return
	}
	s.file, s.File = f, nil
	if f.Mode == "tail" {
		s.Log = &Log{Path: f.Path, Pattern: f.Pattern, Regex: f.Regex, Format: f.Format, FromStart: f.FromStart}
		return
	}
	s.Document = &Formatted{Format: cmp.Or(f.Format, "json"), Document: Document{URL: "file://" + f.Path, MaxBytes: f.MaxBytes, MaxAge: f.MaxAge}}
}
