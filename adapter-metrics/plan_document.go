package main

import (
	"cmp"
	"net"
	"net/url"
	"strings"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/source"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

// formatted is the plan of a document of some format; the scheme of its URL says how it is fetched.
func (p *pipeline) formatted(d *config.Formatted, prefix string) (plan, error) {
	var ask asking
	if d.Format == "prometheus" {
		// Names are good already. OpenMetrics says most about types, and is what Prometheus itself would ask for.
		prefix = ""
		ask.check, ask.accept = decode.WholeOpenMetrics, "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
	}
	u, err := url.Parse(d.URL)
	if err != nil {
		return plan{}, err
	}
	out := plan{prefix: prefix, decode: quick(decode.Format(d.Format))}
	e := source.Exchange{Network: "tcp", Limit: int64(d.MaxBytes)}
	switch u.Scheme {
	case "redis", "rediss":
		e.Address, e.Done, e.Ask = withPort(u, "6379"), source.RedisDone, p.askRedis(d)
		if u.Scheme == "rediss" {
			client := tlsfile.Client{}
			if d.TLS != nil {
				client = *d.TLS
			}
			if e.Files, err = tlsfile.New(client); err != nil {
				return plan{}, err
			}
			e.TLS, e.Log = e.Files.Config(u.Hostname()), p.env.Log
		}
	case "memcached":
		e.Address, e.Done, e.Ask = withPort(u, "11211"), source.MemcachedDone, constant(source.AskMemcached())
	case "unix", "tcp":
		e.Network, e.Address, e.Ask = u.Scheme, cmp.Or(u.Path, withPort(u, "1717")), constant(nil)
		if d.Format == "haproxy" {
			e.Ask = constant([]byte("show stat\n"))
		}
	case "fcgi", "fcgi+unix":
		out.fetch = fastCGI(u, int64(d.MaxBytes))
		return out, nil
	default:
		out, err = p.document(&d.Document, prefix, out.decode, ask)
		if h, ok := out.fetch.(*source.HTTP); ok && d.Format == "actuator" && strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/metrics") {
			out.fetch = source.Actuator{HTTP: h}
		}
		return out, err
	}
	out.fetch = e
	return out, nil
}

// fastCGI reads fcgi://HOST:PORT/PAGE?QUERY and fcgi+unix:///SOCKET:/PAGE?QUERY.
func fastCGI(u *url.URL, limit int64) source.FastCGI {
	f := source.FastCGI{Network: "tcp", Address: withPort(u, "9000"), Path: u.Path, Query: u.RawQuery, Limit: limit}
	if u.Scheme == "fcgi+unix" {
		f.Network = "unix"
		f.Address, f.Path, _ = strings.Cut(u.Path, ":")
	}
	f.Path = cmp.Or(f.Path, "/status")
	return f
}

func withPort(u *url.URL, port string) string {
	return net.JoinHostPort(cmp.Or(u.Hostname(), "127.0.0.1"), cmp.Or(u.Port(), port))
}

func constant(question []byte) func() ([]byte, error) {
	return func() ([]byte, error) { return question, nil }
}

// askRedis looks the password up each time, because it rotates.
func (p *pipeline) askRedis(d *config.Formatted) func() ([]byte, error) {
	return func() ([]byte, error) {
		if d.BasicAuth == nil {
			return source.AskRedis("", ""), nil
		}
		password, err := p.env.Secrets.Get(d.BasicAuth.Password)
		return source.AskRedis(d.BasicAuth.Username, password), err
	}
}
