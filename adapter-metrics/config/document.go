package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/preset"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// Formatted is a document of some format. Its URL says how it is fetched: besides those of a JSON document there
// are redis://, rediss:// and memcached://HOST:PORT, fcgi://HOST:PORT/PAGE and fcgi+unix:///SOCKET:/PAGE for PHP-FPM, and
// unix:///PATH and tcp://HOST:PORT for servers that tell everything to whoever connects, such as HAProxy and uWSGI.
type Formatted struct {
	Document `yaml:",inline"`
	Format   string `yaml:"format" enum:"json,expvar,jolokia,keyvalue,csv,redis,memcached,nginx,apache,phpfpm,haproxy,prometheus,actuator"`
}

// parseDocument reads redis://HOST:PORT, memcached://HOST:PORT, PRESET+URL and FORMAT+URL.
func parseDocument(text string) (Source, bool) {
	kind, rest, plus := strings.Cut(text, "+")
	scheme, _, _ := strings.Cut(text, ":")
	switch {
	case scheme == "redis" || scheme == "rediss":
		return Source{Preset: "redis", URL: text}, true
	case scheme == "memcached":
		return Source{Preset: scheme, URL: text}, true
	case plus && kind == "phpfpm":
		return Source{Preset: "php-fpm", URL: rest}, true
	case plus && slices.Contains(preset.Names(), kind):
		return Source{Preset: kind, URL: rest}, true // or of lines, which completePreset finds out
	case plus && decode.Format(kind) != nil:
		return Source{Kind: Kind{Document: &Formatted{Format: kind, Document: Document{URL: rest}}}}, true
	}
	return Source{}, false
}

// completePreset makes the kind of a source of preset and url.
func (s *Source) completePreset() {
	p, err := preset.Load(s.Preset)
	if err == nil && s.URL != "" && s.Kind == (Kind{}) {
		address, lines := strings.CutPrefix(s.URL, "statsd:")
		switch {
		case p.Format != "":
			s.Document, s.URL = &Formatted{Format: p.Format, Document: Document{URL: s.URL}}, ""
		case lines:
			s.StatsD, s.URL = &Listen{Listen: []string{"udp:" + address}}, ""
		}
	}
	if s.Document != nil && s.Document.MaxBytes == 0 {
		s.Document.MaxBytes = 64 << 20
	}
}

func (s *Source) validatePreset(path string, p *conf.Problems) {
	if s.Preset != "" {
		have, err := preset.Load(s.Preset)
		switch {
		case err != nil:
			p.Add(path+".preset", err.Error(), "adapter-metrics preset list")
		case have.Format == "" && s.StatsD == nil:
			p.Add(path+".preset", s.Preset+" is for lines of StatsD", "preset: "+s.Preset+", statsd: {listen: [\"udp://:8125\"]}")
			return
		case have.Format != "" && s.Kind == (Kind{}):
			p.Add(path+".preset", s.Preset+" wants to know where its document is", "url: "+have.URL)
		case have.Format != "" && s.Document == nil && s.JSON == nil:
			p.Add(path+".preset", s.Preset+" is for a document", "preset: "+s.Preset+", url: "+have.URL)
		}
	}
	if s.URL != "" {
		p.Add(path+".url", "goes with preset only", "preset: redis")
	}
	if s.Document != nil {
		s.Document.validate(path+".document", "http https http+unix file redis rediss memcached unix tcp fcgi fcgi+unix", "http://127.0.0.1:8080/stats, redis://127.0.0.1:6379, memcached://127.0.0.1:11211, fcgi://127.0.0.1:9000/status, unix:///run/haproxy.sock, tcp://127.0.0.1:1717 or file:///data/stats", p)
	}
}

// validate notes what is wrong with where a document is; schemes are those that its URL may have.
func (d *Document) validate(path, schemes, examples string, p *conf.Problems) {
	if d.TLS != nil {
		d.TLS.Validate(path+".tls", p)
	}
	u, err := url.Parse(d.URL)
	switch {
	case err != nil || !slices.Contains(strings.Fields(schemes), u.Scheme) || u.Host == "" && strings.HasPrefix(d.URL, "http") && u.Scheme != "http+unix":
		p.Add(path+".url", fmt.Sprintf("%q is no URL of a document", d.URL), examples)
		return
	case u.User != nil:
		p.Add(path+".url", "has credentials in it", "basic_auth: {username: default, password: file:/run/secrets/password}")
	}
	if d.TLS != nil && u.Scheme != "https" && u.Scheme != "rediss" {
		p.Add(path+".tls", "has no meaning for "+u.Scheme+"://", "https:// or rediss://")
	}
	if len(d.Headers) > 0 && !strings.HasPrefix(u.Scheme, "http") {
		p.Add(path+".headers", "has no meaning for "+u.Scheme+"://", "http:// or https://")
	}
	if d.BasicAuth != nil && !strings.HasPrefix(u.Scheme, "http") && !strings.HasPrefix(u.Scheme, "redis") {
		p.Add(path+".basic_auth", "has no meaning for "+u.Scheme+"://", "http:// or redis://")
	}
	switch {
	case d.MaxAge < 0:
		p.Add(path+".max_age", "is negative", "max_age: 5m")
	case d.MaxAge > 0 && u.Scheme != "file":
		p.Add(path+".max_age", "goes with file:// only", "remove it")
	}
}

// AllRules are the source's own rules, which count first, and those of its preset.
func (s *Source) AllRules() ([]rules.Rule, error) {
	if s.Preset == "" {
		return slices.Concat(s.Rules, s.mappingRules()), nil
	}
	p, err := preset.Load(s.Preset)
	if err != nil {
		return nil, err
	}
	return slices.Concat(s.Rules, s.mappingRules(), p.Rules), nil
}
