package config

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// Log says where log lines are and how they are taken apart; what becomes of them stands in the source's metrics.
type Log struct {
	Path      string `yaml:"path" doc:"The file, or a pattern such as /var/log/app/*.log; files may appear later and be rotated."`
	Pattern   string `yaml:"pattern,omitempty" doc:"Literals with {field}, {bytes:int}, {rt:s} or {} between; {{ is a brace."`
	Regex     string `yaml:"regex,omitempty" doc:"RE2 pattern with named groups, instead of pattern; many times slower."`
	Format    string `yaml:"format,omitempty" enum:"json,logfmt" doc:"Instead of pattern: one object, or key=value pairs, a line."`
	FromStart bool   `yaml:"from_start,omitempty" doc:"Count also the lines that the file holds when the helper starts."`
}

// LogOptions are what the decoder of the source's lines needs.
func (s *Source) LogOptions() decode.LogOptions {
	return decode.LogOptions{Pattern: s.Log.Pattern, Regex: s.Log.Regex, Format: s.Log.Format, Metrics: s.Metrics}
}

func (s *Source) validateLog(path string, p *conf.Problems) {
	if s.Log == nil {
		if len(s.Metrics) > 0 {
			p.Add(path+".metrics", "goes with log only", "other sources have rules")
		}
		return
	}
	if s.Log.Path == "" {
		p.Add(path+".log.path", "is missing", "path: /var/log/app/access.log")
	}
	if _, err := filepath.Match(s.Log.Path, ""); err != nil {
		p.Add(path+".log.path", err.Error(), "/var/log/app/*.log")
	}
	if len(s.Rules) > 0 {
		p.Add(path+".rules", "has no meaning for a log", "its metrics: say what lines become")
	}
	_, err := decode.NewLog(nil, nil, s.LogOptions())
	var wrong decode.MetricErrors
	switch {
	case errors.As(err, &wrong):
		for i, err := range wrong {
			if err != nil {
				p.Add(fmt.Sprintf("%s.metrics[%d]", path, i), err.Error(), "")
			}
		}
	case err != nil:
		p.Add(path+".log", err.Error(), "")
	}
}
