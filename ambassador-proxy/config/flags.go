package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// Flags binds the ambassador's own flags.
func Flags(f *conf.Flags, c *Config) {
	f.List("proxy", "LISTEN=UPSTREAM, for example 8080=https://api.example.com", func(values []string) error {
		var wrong []error
		for _, v := range values {
			if err := c.addProxy(v); err != nil {
				wrong = append(wrong, err)
			}
		}
		return errors.Join(wrong...)
	})
	var forward []string
	f.Words("forward", "[host:]port of an egress proxy (HTTP and CONNECT) that refuses whatever --allow does not name", func(values []string) error {
		forward = values
		for _, v := range values {
			c.Listeners = append(c.Listeners, Listener{Address: v, Protocol: "forward"})
		}
		return nil
	})
	f.Words("allow", "destination that --forward may reach: host:port, *.example.com:443, 10.0.0.0/8:*", func(values []string) error {
		for i := range c.Listeners {
			if slices.Contains(forward, c.Listeners[i].Address) && c.Listeners[i].Protocol == "forward" {
				c.Listeners[i].Allow = values
			}
		}
		if len(forward) == 0 {
			return fmt.Errorf("needs --forward")
		}
		return nil
	})
	f.String(&c.Via, "via", "proxy to dial through: socks5://host:port, http://host:port or https://host:port")
	f.Bool(&c.UnsafeListen, "unsafe-listen", "allow listeners that other hosts can reach")
	f.Bool(&c.AllowRemoteClients, "allow-remote-clients", "let other hosts use injected credentials")
	f.Duration(&c.StartupWait, "startup-wait", "hold requests until the first endpoint is known, at most this long")
	f.Int(&c.MaxConnections, "max-connections", "client connections of all listeners together")
	f.Enum(&c.AccessLog.Format, "access-log", []string{"off", "text", "json"}, "a line for each request on standard output")
}

// addProxy adds the listener and the upstream of one --proxy.
func (c *Config) addProxy(value string) error {
	listen, target, ok := strings.Cut(value, "=")
	if !ok || listen == "" || target == "" {
		return fmt.Errorf("%q is not LISTEN=UPSTREAM, for example 8080=https://api.example.com", value)
	}
	t, err := ParseTarget(target)
	if err != nil {
		return err
	}
	if c.Upstreams == nil {
		c.Upstreams = map[string]*Upstream{}
	}
	name := c.freeName(t, target)
	c.Upstreams[name] = &Upstream{URL: target}
	c.Listeners = append(c.Listeners, Listener{Address: listen, To: name})
	return nil
}

// freeName names an upstream after its host; two --proxy with the same URL share one.
func (c *Config) freeName(t Target, raw string) string {
	base := t.Path
	if len(t.Hosts) > 0 {
		base = t.Hosts[0].Host
	}
	name := base
	for i := 2; c.Upstreams[name] != nil && c.Upstreams[name].URL != raw; i++ {
		name = base + "-" + strconv.Itoa(i)
	}
	return name
}

// option sets a field of an upstream from the query string of its URL.
type option struct {
	name string
	set  func(u *Upstream, value string) error
}

func options() []option {
	text := func(name string, field func(*Upstream) *string) option {
		return option{name, func(u *Upstream, v string) error { *field(u) = v; return nil }}
	}
	span := func(name string, field func(*Upstream) *conf.Duration) option {
		return option{name, func(u *Upstream, v string) (err error) { *field(u), err = conf.ParseDuration(v); return err }}
	}
	number := func(name string, field func(*Upstream) *int) option {
		return option{name, func(u *Upstream, v string) (err error) { *field(u), err = strconv.Atoi(v); return err }}
	}
	secret := func(name string, field func(*Auth) *conf.Secret) option {
		return option{name, func(u *Upstream, v string) error {
			if !strings.HasPrefix(v, "file:") {
				return fmt.Errorf("wants file:/path: secrets never come in flags")
			}
			if u.Auth == nil {
				u.Auth = &Auth{}
			}
			*field(u.Auth) = conf.Secret(v)
			return nil
		}}
	}
	return []option{
		span("timeout", func(u *Upstream) *conf.Duration { return &u.Timeout }),
		span("connect_timeout", func(u *Upstream) *conf.Duration { return &u.ConnectTimeout }),
		span("tls_timeout", func(u *Upstream) *conf.Duration { return &u.TLSTimeout }),
		span("header_timeout", func(u *Upstream) *conf.Duration { return &u.HeaderTimeout }),
		span("idle_timeout", func(u *Upstream) *conf.Duration { return &u.IdleTimeout }),
		span("keep_alive", func(u *Upstream) *conf.Duration { return &u.KeepAlive }),
		span("slow_start", func(u *Upstream) *conf.Duration { return &u.SlowStart }),
		text("balance", func(u *Upstream) *string { return &u.Balance }),
		text("hash", func(u *Upstream) *string { return &u.Hash }),
		text("hash_tag", func(u *Upstream) *string { return &u.HashTag }),
		text("host", func(u *Upstream) *string { return &u.Host }),
		text("via", func(u *Upstream) *string { return &u.Via }),
		text("proxy_protocol", func(u *Upstream) *string { return &u.ProxyProtocol }),
		text("ca", func(u *Upstream) *string { return &u.TLS.CA }),
		text("cert", func(u *Upstream) *string { return &u.TLS.Cert }),
		text("key", func(u *Upstream) *string { return &u.TLS.Key }),
		text("san", func(u *Upstream) *string { return &u.TLS.SAN }),
		text("server_name", func(u *Upstream) *string { return &u.TLS.ServerName }),
		number("requests", func(u *Upstream) *int { return &u.Limits.Requests }),
		number("queue", func(u *Upstream) *int { return &u.Limits.Queue }),
		{"retry", func(u *Upstream, v string) (err error) { u.Retry, err = ParseTries(v); return err }},
		secret("bearer", func(a *Auth) *conf.Secret { return &a.Bearer }),
		secret("password", func(a *Auth) *conf.Secret { return &a.Password }),
		{"health", func(u *Upstream, v string) error { u.Health = &Health{Path: v}; return nil }},
		{"insecure_skip_verify", func(u *Upstream, v string) (err error) {
			u.TLS.InsecureSkipVerify, err = strconv.ParseBool(v)
			return err
		}},
	}
}

// applyOptions moves the query string of the URL into the fields that it names, and says what is wrong with it.
func (u *Upstream) applyOptions() (wrong []error) {
	t, err := ParseTarget(u.URL)
	if err != nil || len(t.Options) == 0 {
		return nil // an error is said of the URL
	}
	known := options()
	for _, name := range slices.Sorted(maps.Keys(t.Options)) {
		i, values := slices.IndexFunc(known, func(o option) bool { return o.name == name }), t.Options[name]
		switch {
		case i < 0:
			wrong = append(wrong, unknownOption(name, known))
		case len(values) > 1:
			wrong = append(wrong, fmt.Errorf("option %s stands there %d times", name, len(values)))
		default:
			if err := known[i].set(u, values[0]); err != nil {
				wrong = append(wrong, fmt.Errorf("option %s: %w", name, err))
			}
		}
	}
	u.URL, _, _ = strings.Cut(u.URL, "?")
	return wrong
}

func unknownOption(name string, known []option) error {
	names := make([]string, len(known))
	for i, o := range known {
		names[i] = o.name
	}
	if near := conf.Nearest(name, names); near != "" {
		return fmt.Errorf("unknown option %q (did you mean %q?)", name, near)
	}
	slices.Sort(names)
	return fmt.Errorf("unknown option %q (known: %s)", name, strings.Join(names, ", "))
}

// ViaURL parses a proxy to dial through.
func ViaURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"socks5", "http", "https"}, u.Scheme) || u.Port() == "" {
		return nil, fmt.Errorf("%q is not socks5://host:port, http://host:port or https://host:port", raw)
	}
	return u, nil
}
