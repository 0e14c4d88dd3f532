package main

import (
	"cmp"
	"net"
	"net/url"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/source"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

// formatted is the plan of a document of some format; the scheme of its URL says how it is fetched.
func (p *pipeline) formatted(d *config.Formatted, prefix string) (plan, error) {
	if d.Format == "prometheus" {
		prefix = "" // names are good already
	}
	u, err := url.Parse(d.URL)
	if err != nil {
		return plan{}, err
	}
	out := plan{prefix: prefix, decode: decode.Format(d.Format)}
	e := source.Exchange{Network: "tcp", Limit: int64(d.MaxBytes)}
	switch u.Scheme {
	case "redis", "rediss":
		e.Address, e.Done, e.Ask = withPort(u, "6379"), source.RedisDone, p.askRedis(d)
		if u.Scheme == "rediss" {
			client := tlsfile.Client{}
			if d.TLS != nil {
				client = *d.TLS
			}
			files, err := tlsfile.New(client)
			if err != nil {
				return plan{}, err
			}
			e.TLS = files.Config(u.Hostname())
		}
	case "memcached":
		e.Address, e.Done, e.Ask = withPort(u, "11211"), source.MemcachedDone, constant(source.AskMemcached())
	case "unix":
		e.Network, e.Address, e.Ask = "unix", u.Path, constant([]byte("show stat\n"))
	default:
		return p.document(&d.Document, prefix, out.decode)
	}
	out.fetch = e
	return out, nil
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
