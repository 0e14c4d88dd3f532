// Package config is what a user can say: sources, their rules, and limits.
package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

// Config is the whole configuration of the helper.
type Config struct {
	conf.Common `yaml:",inline"`
	Prefix      string   `yaml:"prefix" doc:"First part of the names of values that no rule describes."`
	Sources     []Source `yaml:"sources" doc:"Where statistics come from."`
	Limits      Limits   `yaml:"limits,omitempty"`
	Mapping     string   `yaml:"statsd_mapping,omitempty" doc:"Mapping file of statsd_exporter, for every source of StatsD."`
	Exporter    string   `yaml:"json_exporter_config,omitempty" doc:"Configuration of json_exporter, for every JSON source without rules."`
	Exposition  `yaml:",inline"`
	Tests       []Test `yaml:"tests,omitempty" doc:"Inputs and what they become; check runs them."`
}

// Test is a sample of what a source says and the metrics that it becomes. Paths are relative to the working directory.
type Test struct {
	Source string `yaml:"source" doc:"Name of the source."`
	Input  string `yaml:"input" doc:"File with what the source says."`
	Expect string `yaml:"expect" doc:"File with the metrics; comments and the order do not count."`
}

func (t *Test) validate(path string, sources map[string]bool, p *conf.Problems) {
	if t.Source != "" && !sources[t.Source] {
		p.Add(path+".source", "there is no source called "+t.Source, "sources: "+strings.Join(slices.Sorted(maps.Keys(sources)), ", "))
	}
	if t.Input == "" {
		p.Add(path+".input", "is missing", "input: testdata/stats.json")
	}
	if t.Expect == "" {
		p.Add(path+".expect", "is missing", "expect: testdata/stats.prom")
	}
}

// Limits bound what is kept, whatever an app sends.
type Limits struct {
	Series    int           `yaml:"series,omitempty" doc:"Series in all; default 50000."`
	PerSource int           `yaml:"per_source,omitempty" doc:"Series of one source; default 20000."`
	Labels    int           `yaml:"labels,omitempty" doc:"Labels of one series; default 32."`
	Idle      conf.Duration `yaml:"idle,omitempty" doc:"How long a pushed gauge without samples stays; default 5m."`
}

func (l *Limits) validate(p *conf.Problems) {
	for _, n := range []struct {
		key   string
		value int
	}{{"series", l.Series}, {"per_source", l.PerSource}, {"labels", l.Labels}} {
		if n.value < 0 {
			p.Add("limits."+n.key, "is negative", "leave it out for the default")
		}
	}
}

// Source is one source. Exactly one of its kinds is set.
type Source struct {
	Name     string `yaml:"name,omitempty" doc:"Value of the label source; default is the kind."`
	Kind     `yaml:",inline"`
	Preset   string             `yaml:"preset,omitempty" doc:"Ready-made rules, as preset list names them; own rules count first."`
	URL      string             `yaml:"url,omitempty" doc:"With preset: where the document is."`
	Metrics  []decode.LogMetric `yaml:"metrics,omitempty" doc:"With log: what lines become."`
	JQ       string             `yaml:"jq,omitempty" doc:"A jq program that reshapes a JSON document before the rules."`
	Interval conf.Duration      `yaml:"interval,omitempty" doc:"Read it this often instead of at each scrape."`
	Rules    []rules.Rule       `yaml:"rules,omitempty"`

	exporterErr error // of json_exporter_config
	file        *File // that completeFile has replaced
}

// Kind is the union of kinds of sources.
type Kind struct {
	JSON      *Document  `yaml:"json,omitempty" doc:"A JSON document, read at each scrape."`
	Document  *Formatted `yaml:"document,omitempty" doc:"A document of another format, read at each scrape."`
	File      *File      `yaml:"file,omitempty" doc:"A file on a shared volume."`
	Log       *Log       `yaml:"log,omitempty" doc:"Lines of a log file, followed across rotations."`
	StatsD    *Listen    `yaml:"statsd,omitempty" doc:"StatsD and DogStatsD lines."`
	Graphite  *Listen    `yaml:"graphite,omitempty" doc:"Graphite plaintext lines."`
	Resources *Resources `yaml:"resources,omitempty" doc:"CPU, memory and disk."`
}

// Document says where a document is.
type Document struct {
	URL       string                 `yaml:"url" doc:"http://, https://, http+unix:///path/of.sock:/stats or file:///path."`
	Headers   map[string]conf.Secret `yaml:"headers,omitempty" doc:"Request headers; a file: is read again when it rotates."`
	BasicAuth *BasicAuth             `yaml:"basic_auth,omitempty"`
	TLS       *tlsfile.Client        `yaml:"tls,omitempty" doc:"How an https:// URL is verified, and what is shown to it."`
	Exporter  string                 `yaml:"json_exporter_config,omitempty" doc:"Configuration of json_exporter, in place of jq and rules."`
	Module    string                 `yaml:"json_exporter_module,omitempty" doc:"Module of that configuration; default is default."`
	MaxBytes  conf.Size              `yaml:"max_bytes,omitempty" doc:"Longest document; default 64MiB."`
	MaxAge    conf.Duration          `yaml:"max_age,omitempty" doc:"With file://: a file that was not written for this long is absent."`
}

// BasicAuth are the credentials of HTTP's basic authentication.
type BasicAuth struct {
	Username string      `yaml:"username"`
	Password conf.Secret `yaml:"password"`
}

// Resources says what is watched.
type Resources struct {
	Process string   `yaml:"process,omitempty" doc:"Name of the app's processes; default is all but the helper's own."`
	Volumes []string `yaml:"volumes,omitempty" doc:"Mounted paths."`
}

// Default is the configuration before anything is said.
func Default() Config { return Config{Prefix: "app"} }

// Flags binds the helper's own flags.
func Flags(f *conf.Flags, c *Config) {
	f.List("source", "a source, such as json+http://127.0.0.1:8080/stats", func(values []string) error {
		c.Sources = nil
		for _, v := range values {
			s, err := ParseSource(v)
			if err != nil {
				return err
			}
			c.Sources = append(c.Sources, s)
		}
		return nil
	})
	f.String(&c.Prefix, "prefix", "first part of the names of values that no rule describes")
	f.String(&c.Exporter, "json-exporter-config", "configuration of json_exporter")
	f.String(&c.Mapping, "statsd-mapping", "mapping file of statsd_exporter")
	f.Int(&c.Limits.Series, "max-series", "series in all")
	c.Exposition.bind(f)
}

// ParseSource reads the value of --source: json+URL, statsd://ADDRESS, graphite://ADDRESS or
// resources:?process=NAME&volume=PATH.
func ParseSource(text string) (Source, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch {
	case strings.HasPrefix(kind, "json+"):
		return Source{Kind: Kind{JSON: &Document{URL: strings.TrimPrefix(text, "json+")}}}, nil
	case kind == "statsd":
		return Source{Kind: Kind{StatsD: &Listen{Listen: []string{"udp:" + rest}}}}, nil
	case kind == "graphite":
		return Source{Kind: Kind{Graphite: &Listen{Listen: []string{"tcp:" + rest}}}}, nil
	case kind == "resources":
		q, err := url.ParseQuery(strings.TrimPrefix(rest, "?"))
		r := &Resources{Process: q.Get("process"), Volumes: q["volume"]}
		delete(q, "process")
		delete(q, "volume")
		if err != nil || len(q) > 0 {
			return Source{}, fmt.Errorf("%q is no source of resources (resources:?process=NAME&volume=PATH)", text)
		}
		return Source{Kind: Kind{Resources: r}}, nil
	}
	if s, ok := parseDocument(text); ok {
		return s, nil
	}
	return Source{}, fmt.Errorf("%q is no source (known: json+http://…, redis://…, memcached://…, nginx+http://…, apache+http://…, phpfpm+http://…, haproxy+http://…, prometheus+http://…, statsd://:8125, graphite://:2003, resources:)", text)
}

// Complete names the sources that have no name, and fills defaults.
func (c *Config) Complete() {
	c.Prefix = rules.Classic(c.Prefix) // my-app would be another name to scrapers that read UTF-8 than to the rest
	seen := map[string]int{}
	for i := range c.Sources {
		s := &c.Sources[i]
		s.completeFile()
		s.completePreset()
		s.completeMapping(c.Mapping)
		s.completeExporter(c.Exporter)
		if s.Name == "" {
			s.Name = s.kind()
			if seen[s.Name]++; seen[s.Name] > 1 {
				s.Name = fmt.Sprintf("%s_%d", s.Name, seen[s.Name])
			}
		}
		if s.JSON != nil && s.JSON.MaxBytes == 0 {
			s.JSON.MaxBytes = 64 << 20
		}
	}
}

func (s *Source) kind() string {
	switch {
	case s.file != nil:
		return "file"
	case s.JSON != nil:
		return "json"
	case s.Preset != "":
		return s.Preset
	case s.Document != nil:
		return s.Document.Format
	case s.Log != nil:
		return "log"
	case s.StatsD != nil:
		return "statsd"
	case s.Graphite != nil:
		return "graphite"
	}
	return "resources"
}

// Validate notes what is wrong.
func (c *Config) Validate(p *conf.Problems) {
	if len(c.Sources) == 0 {
		p.Add("sources", "there is no source", "--source json+http://127.0.0.1:8080/stats")
	}
	c.Exposition.check(c.AdminAddress, p)
	c.Limits.validate(p)
	names, addresses := map[string]bool{}, map[string]string{}
	for i := range c.Sources {
		s, path := &c.Sources[i], fmt.Sprintf("sources[%d]", i)
		if s.Preset == "" || s.Kind != (Kind{}) { // else validatePreset says what is missing
			p.OneOf(path, &s.Kind)
		}
		s.validatePreset(path, p)
		s.validateFile(path, p)
		s.validateLog(path, p)
		if names[s.Name] {
			p.Add(path+".name", "is the name of another source", "give each its own")
		}
		names[s.Name] = true
		if s.JSON != nil {
			s.JSON.validate(path+".json", "http https http+unix file", "http://127.0.0.1:8080/stats, http+unix:///run/app.sock:/stats or file:///data/stats.json", p)
		}
		s.validateListen(path, addresses, p)
		s.StatsD.validateMapping(path+".statsd", p)
		s.Graphite.validateMapping(path+".graphite", p)
		if s.exporterErr != nil {
			p.Add(path+".json.json_exporter_config", s.exporterErr.Error(), "")
		}
		if s.JQ != "" {
			if _, err := decode.JQ(s.JQ); err != nil {
				p.Add(path+".jq", err.Error(), "https://jqlang.org/manual")
			}
			if s.JSON == nil {
				p.Add(path+".jq", "goes with json: only", "remove it")
			}
		}
		switch {
		case s.Interval != 0 && (s.StatsD != nil || s.Graphite != nil || s.Log != nil):
			p.Add(path+".interval", "has no meaning for a source that pushes", "remove it")
		case s.Interval < 0:
			p.Add(path+".interval", "is negative", "interval: 30s")
		}
		for j := range s.Rules {
			s.Rules[j].Validate(fmt.Sprintf("%s.rules[%d]", path, j), p)
		}
		rules.Shadowed(s.Rules, path+".rules", p)
	}
	for i, t := range c.Tests {
		t.validate(fmt.Sprintf("tests[%d]", i), names, p)
	}
}
