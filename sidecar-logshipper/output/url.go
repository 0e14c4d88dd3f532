package output

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// scheme is one row of the table of URL forms.
type scheme struct {
	name    string   // of the kind, before the +
	carrier []string // allowed after the +; nil when the name stands alone
	host    bool     // without a carrier: the target is //host/path, not the path
	fill    func(c *Config, target string) (options any)
	lists   []string // options that are lists, separated by commas
}

// schemes is the table of what --to takes: NAME+CARRIER://host/path?option=value, where the options are the YAML keys.
func schemes() []scheme {
	web := []string{"http", "https"}
	return []scheme{
		{name: "loki", carrier: web, lists: []string{"labels"}, fill: func(c *Config, url string) any {
			c.Loki = &LokiConfig{HTTPConfig: HTTPConfig{URL: url}}
			return c.Loki
		}},
		{name: "elasticsearch", carrier: web, fill: func(c *Config, url string) any {
			c.Elasticsearch = &ElasticsearchConfig{HTTPConfig: HTTPConfig{URL: url}}
			return c.Elasticsearch
		}},
		{name: "victorialogs", carrier: web, lists: []string{"streams"}, fill: func(c *Config, url string) any {
			c.VictoriaLogs = &VictoriaLogsConfig{HTTPConfig: HTTPConfig{URL: url}}
			return c.VictoriaLogs
		}},
		{name: "otlp", carrier: append(web, "grpc", "grpcs"), fill: func(c *Config, url string) any {
			c.OTLP = &OTLPConfig{HTTPConfig: HTTPConfig{URL: url}}
			return c.OTLP
		}},
		{name: "splunk", carrier: web, fill: func(c *Config, url string) any {
			c.Splunk = &SplunkConfig{HTTPConfig: HTTPConfig{URL: url}}
			return c.Splunk
		}},
		{name: "syslog", carrier: []string{"tcp", "tls", "udp"}, fill: func(c *Config, url string) any {
			c.Syslog = &SyslogConfig{URL: url}
			return c.Syslog
		}},
		{name: "kafka", host: true, lists: []string{"brokers"}, fill: func(c *Config, target string) any {
			broker, topic, _ := strings.Cut(target, "/")
			c.Kafka = &KafkaConfig{Brokers: []string{broker}, Topic: topic}
			return c.Kafka
		}},
		{name: "fluent", carrier: []string{"tcp", "tls"}, fill: func(c *Config, url string) any {
			c.Fluent = &FluentConfig{URL: url}
			return c.Fluent
		}},
		{name: "s3", carrier: web, fill: func(c *Config, url string) any {
			c.S3 = &S3Config{HTTPConfig: HTTPConfig{URL: url}}
			return c.S3
		}},
		{name: "stdout", fill: func(c *Config, _ string) any { c.Stdout = &StdoutConfig{}; return c.Stdout }},
		{name: "file", fill: func(c *Config, path string) any { c.File = &FileConfig{Path: path}; return c.File }},
	}
}

// FromURL is the entry that a --to URL means.
func FromURL(raw string) (Config, error) {
	var c Config
	u, err := url.Parse(raw)
	if err != nil {
		return c, fmt.Errorf("parse output URL: %w", err)
	}
	if u.User != nil {
		return c, fmt.Errorf("output %s: credentials do not go into flags (use the YAML form with auth: and file: references)", u.Redacted())
	}
	if u.Scheme == "http+jsonl" || u.Scheme == "https+jsonl" {
		u.Scheme = strings.TrimSuffix(u.Scheme, "+jsonl")
		c.HTTP = &JSONConfig{}
		options := ownOptions(u)
		c.HTTP.URL = u.String()
		return c, (&scheme{}).options(options, c.HTTP)
	}
	for _, s := range schemes() {
		if target, ok := s.target(u); ok {
			if s.carrier == nil && !s.host && (u.Host != "" || u.Opaque != "") {
				return c, fmt.Errorf("output %s: %q does not belong there (write %s)", raw, u.Host+u.Opaque, s.form())
			}
			return c, s.options(u, s.fill(&c, target))
		}
	}
	for _, s := range schemes() {
		if kind, _, _ := strings.Cut(u.Scheme, "+"); kind == s.name {
			return c, fmt.Errorf("output %q: unknown scheme %q (write %s)", raw, u.Scheme, s.form())
		}
	}
	return c, fmt.Errorf("output %q: unknown scheme %q (known: %s)", raw, u.Scheme, strings.Join(schemeNames(), " "))
}

// ownOptions takes the options of http out of the query of u and returns them as a URL of their own. What is left belongs to
// the endpoint: nobody else knows which parameters it has.
func ownOptions(u *url.URL) *url.URL {
	theirs, ours := u.Query(), url.Values{}
	for _, name := range []string{"compression", "event_id", "format", "timeout"} {
		if theirs.Has(name) {
			ours[name] = theirs[name]
			theirs.Del(name)
		}
	}
	own := *u
	own.RawQuery = ours.Encode()
	if len(ours) > 0 {
		u.RawQuery = theirs.Encode()
	}
	return &own
}

// target is the URL without the kind and the options, when u is of this scheme.
func (s *scheme) target(u *url.URL) (string, bool) {
	if s.host {
		return u.Host + u.Path, u.Scheme == s.name
	}
	if s.carrier == nil {
		return u.Path, u.Scheme == s.name
	}
	carrier, ok := strings.CutPrefix(u.Scheme, s.name+"+")
	if !ok || !slices.Contains(s.carrier, carrier) {
		return "", false
	}
	bare := *u
	bare.Scheme, bare.RawQuery = carrier, ""
	return bare.String(), true
}

// options sets the options of the query by their YAML keys, as strictly as YAML.
func (s *scheme) options(u *url.URL, into any) error {
	query := u.Query()
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(query)) {
		if len(query[key]) > 1 {
			return fmt.Errorf("output %s: %s is there twice (a list is written with commas)", u.Redacted(), key)
		}
		value := strconv.Quote(query.Get(key))
		if slices.Contains(s.lists, key) {
			value = "[" + strings.ReplaceAll(value, ",", `","`) + "]"
		} else if _, err := strconv.ParseInt(query.Get(key), 10, 64); err == nil || query.Get(key) == "true" || query.Get(key) == "false" {
			value = query.Get(key)
		}
		fmt.Fprintf(&text, "%s: %s\n", strconv.Quote(key), value)
	}
	problems, err := conf.Parse("", []byte(text.String()), into, os.LookupEnv)
	if err == nil {
		return nil
	}
	messages := make([]string, 0, len(problems.List))
	for _, p := range problems.List {
		message := p.Path + " " + p.Message
		if p.Hint != "" {
			message += " (" + p.Hint + ")"
		}
		messages = append(messages, message)
	}
	return fmt.Errorf("output %s: %s", u.Redacted(), strings.Join(messages, "; "))
}

func schemeNames() []string {
	names := []string{"http+jsonl:// https+jsonl://"}
	for _, s := range schemes() {
		names = append(names, s.form())
	}
	return names
}

// form is how a URL of this scheme begins.
func (s *scheme) form() string {
	switch {
	case s.name == "stdout":
		return "stdout:"
	case s.host:
		return s.name + "://"
	case s.carrier == nil:
		return s.name + ":///"
	}
	forms := make([]string, 0, len(s.carrier))
	for _, carrier := range s.carrier {
		forms = append(forms, s.name+"+"+carrier+"://")
	}
	return strings.Join(forms, " ")
}
