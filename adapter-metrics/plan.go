package main

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/source"
)

// A plan says how a kind of source is read. It opens nothing: a plan of check or explain costs nothing.
type plan struct {
	prefix string       // of values that no rule describes
	rules  []rules.Rule // behind the user's own

	// A pulled source has both of these.
	fetch  source.Fetcher
	decode decoder

	// A source that gets lines has lines, and an address or something that follows a file.
	lines  func(*series.Store, *series.Source, decode.Mapper) lineDecoder
	listen []string
	follow func(before source.Follower) source.Follower
}

// decoder walks a document, within ctx where that takes long.
type decoder func(ctx context.Context, doc []byte, to decode.Walker) error

// quick is the decoder of a format that needs no ctx.
func quick(d decode.Decoder) decoder {
	return func(_ context.Context, doc []byte, to decode.Walker) error { return d(doc, to) }
}

// lineDecoder is what becomes of lines.
type lineDecoder interface {
	source.LineDecoder
	Lines() uint64
}

// plan is the table of sources: one line for each kind.
func (p *pipeline) plan(s *config.Source, prefix string) (plan, error) {
	switch k := s.Kind; {
	case k.JSON != nil && s.JQ != "":
		how, err := decode.JQ(s.JQ)
		if err != nil {
			return plan{}, err
		}
		return p.document(k.JSON, prefix, how, asking{})
	case k.JSON != nil:
		return p.document(k.JSON, prefix, quick(decode.JSON), asking{})
	case k.Document != nil:
		return p.formatted(k.Document, prefix)
	case k.Log != nil:
		return p.log(s)
	case k.StatsD != nil:
		return plan{prefix: prefix, listen: k.StatsD.Listen, lines: statsd}, nil
	case k.Graphite != nil:
		return plan{prefix: prefix, listen: k.Graphite.Listen, lines: graphite}, nil
	case k.Resources != nil:
		fetch := source.NewResources(k.Resources.Process, k.Resources.Volumes, prefix, p.env.Log)
		return plan{fetch: fetch, decode: quick(decode.Lines), rules: resourceRules(prefix)}, nil
	}
	return plan{}, errors.New("open source: it has no kind")
}

// resourceRules say what each value of resources is.
func resourceRules(prefix string) []rules.Rule {
	var out []rules.Rule
	for _, name := range source.ResourceNames() {
		full := name
		if prefix != "" {
			full = prefix + "_" + name
		}
		out = append(out, rules.Rule{Match: full, Name: full, Help: source.ResourceHelp()[name]})
	}
	return out
}

func statsd(store *series.Store, src *series.Source, m decode.Mapper) lineDecoder {
	return decode.NewStatsD(store, src, m)
}

func graphite(store *series.Store, src *series.Source, m decode.Mapper) lineDecoder {
	return decode.NewGraphite(store, src, m)
}

// asking is what a format wants of HTTP.
type asking struct {
	accept string
	check  func(contentType string, doc []byte) error
}

// document is the plan of everything that is fetched over HTTP or from a file.
func (p *pipeline) document(d *config.Document, prefix string, how decoder, ask asking) (plan, error) {
	out := plan{prefix: prefix, decode: how}
	if path, ok := strings.CutPrefix(d.URL, "file://"); ok {
		out.fetch = source.File{Path: path, Limit: int64(d.MaxBytes), MaxAge: d.MaxAge.D()}
		return out, nil
	}
	fetch, err := source.NewHTTP(source.HTTPOptions{URL: d.URL, Limit: int64(d.MaxBytes), Accept: ask.accept, Check: ask.check, TLS: d.TLS, Sign: p.sign(d), Log: p.env.Log})
	out.fetch = fetch
	return out, err
}

// sign puts credentials on a request. They are looked up each time, because they rotate.
func (p *pipeline) sign(d *config.Document) func(*http.Request) error {
	return func(r *http.Request) error {
		for name, ref := range d.Headers {
			value, err := p.env.Secrets.Get(ref)
			if err != nil {
				return err
			}
			r.Header.Set(name, value)
		}
		if d.BasicAuth == nil {
			return nil
		}
		password, err := p.env.Secrets.Get(d.BasicAuth.Password)
		if err == nil {
			r.SetBasicAuth(d.BasicAuth.Username, password)
		}
		return err
	}
}
