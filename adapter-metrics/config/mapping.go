package config

import (
	"cmp"
	"os"
	"slices"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// mapped is what a mapping file says. It is read with the configuration, so that a reload sees its changes.
type mapped struct {
	rules []rules.Rule
	err   error
}

// completeMapping reads the mapping file of a source that listens for StatsD or Graphite.
func (s *Source) completeMapping(everywhere string) {
	l := s.Graphite
	if s.StatsD != nil {
		if l = s.StatsD; l.Mapping == "" {
			l.Mapping = everywhere
		}
	}
	if l == nil || l.Mapping == "" {
		return
	}
	text, err := os.ReadFile(l.Mapping)
	if err == nil {
		l.mapped.rules, err = rules.StatsDMapping(text)
	}
	l.mapped.err = err
}

// completeExporter replaces a configuration of json_exporter by the jq program and rules that it means; check prints them.
func (s *Source) completeExporter(everywhere string) {
	if s.JSON == nil || s.JQ != "" || len(s.Rules) > 0 {
		return
	}
	file := cmp.Or(s.JSON.Exporter, everywhere)
	if file == "" {
		return
	}
	text, err := os.ReadFile(file)
	if err == nil {
		s.JQ, s.Rules, err = rules.JSONExporter(text, cmp.Or(s.JSON.Module, "default"))
	}
	s.exporterErr = err
}

// Files are the files that the configuration names and that are read with it: a change of one is a change of it.
func (c *Config) Files() []string {
	files := []string{c.Mapping, c.Exporter}
	for i := range c.Sources {
		s := &c.Sources[i]
		switch {
		case s.StatsD != nil:
			files = append(files, s.StatsD.Mapping)
		case s.Graphite != nil:
			files = append(files, s.Graphite.Mapping)
		case s.JSON != nil:
			files = append(files, s.JSON.Exporter)
		}
	}
	return slices.DeleteFunc(files, func(f string) bool { return f == "" })
}

func (l *Listen) validateMapping(path string, p *conf.Problems) {
	if l == nil {
		return
	}
	if l.mapped.err != nil {
		p.Add(path+".mapping", l.mapped.err.Error(), "")
	}
	for i := range l.mapped.rules {
		l.mapped.rules[i].Validate(path+".mapping", p)
	}
}

// mappingRules are those of the source's mapping file.
func (s *Source) mappingRules() []rules.Rule {
	switch {
	case s.StatsD != nil:
		return s.StatsD.mapped.rules
	case s.Graphite != nil:
		return s.Graphite.mapped.rules
	}
	return nil
}
