package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Target is what an upstream's URL means.
type Target struct {
	Scheme string // without srv+ and file+
	Source Source
	Hosts  []HostPort // of Hosts and SRV; one for SRV, whose port is empty
	Path   string     // of a unix socket or an endpoint file
	TLS    bool
	H2     bool   // HTTP/2 only: prior knowledge, or ALPN h2 with TLS
	Kind   string // http, tcp, redis or memcached; "" for unix, which fits any

	Options url.Values
}

// HostPort of a URL.
type HostPort struct{ Host, Port string }

// Source is where endpoints come from.
type Source uint8

const (
	FromHosts Source = iota // names and addresses of the URL
	FromSRV
	FromFile
	FromSocket
)

type scheme struct {
	port, kind string
	tls, h2    bool
}

func schemeOf(name string) (scheme, bool) {
	switch name {
	case "http":
		return scheme{port: "80", kind: "http"}, true
	case "https":
		return scheme{port: "443", kind: "http", tls: true}, true
	case "h2c", "grpc":
		return scheme{port: "80", kind: "http", h2: true}, true
	case "h2", "grpcs":
		return scheme{port: "443", kind: "http", tls: true, h2: true}, true
	case "tcp":
		return scheme{kind: "tcp"}, true
	case "tls":
		return scheme{kind: "tcp", tls: true}, true
	case "redis":
		return scheme{port: "6379", kind: "redis"}, true
	case "rediss":
		return scheme{port: "6379", kind: "redis", tls: true}, true
	case "memcached":
		return scheme{port: "11211", kind: "memcached"}, true
	}
	return scheme{}, false
}

// ParseTarget reads the URL of an upstream. It is not net/url's syntax: several hosts are separated by commas.
func ParseTarget(raw string) (Target, error) {
	var t Target
	rest, query, _ := strings.Cut(raw, "?")
	var err error
	if t.Options, err = url.ParseQuery(query); err != nil {
		return t, fmt.Errorf("parse options of %q: %w", raw, err)
	}
	if path, ok := strings.CutPrefix(rest, "unix:"); ok {
		t.Scheme, t.Source, t.Path = "unix", FromSocket, "/"+strings.TrimLeft(path, "/")
		if t.Path == "/" || path[0] != '/' {
			return t, fmt.Errorf("%q is not unix:/absolute/path", raw)
		}
		return t, nil
	}
	name, rest, ok := strings.Cut(rest, "://")
	if !ok {
		return t, fmt.Errorf("%q has no scheme (write https://, http://, h2c://, tcp://, tls://, …)", raw)
	}
	switch {
	case strings.HasPrefix(name, "srv+"):
		t.Source, name = FromSRV, name[len("srv+"):]
	case strings.HasPrefix(name, "file+"):
		t.Source, name = FromFile, name[len("file+"):]
	}
	s, known := schemeOf(name)
	if !known {
		return t, fmt.Errorf("unknown scheme %q (known: http, https, h2c, h2, grpc, grpcs, tcp, tls, redis, rediss, memcached, unix; srv+ and file+ in front)", name)
	}
	t.Scheme, t.TLS, t.H2, t.Kind = name, s.tls, s.h2, s.kind
	if t.Source == FromFile {
		if t.Path = rest; !strings.HasPrefix(rest, "/") {
			return t, fmt.Errorf("%q is not file+%s:///absolute/path", raw, name)
		}
		return t, nil
	}
	authority, path, _ := strings.Cut(rest, "/")
	if path != "" {
		return t, fmt.Errorf("%q has a path (the app's path is forwarded as it is)", raw)
	}
	if strings.Contains(authority, "@") {
		return t, fmt.Errorf("a URL with credentials is refused (use auth: with file: or ${env:})")
	}
	return t, t.parseHosts(authority, s.port)
}

func (t *Target) parseHosts(authority, defaultPort string) error {
	for item := range strings.SplitSeq(authority, ",") {
		host, port, err := splitHostPort(item)
		switch {
		case err != nil:
			return err
		case t.Source == FromSRV && port != "":
			return fmt.Errorf("%q has a port (an SRV record names the ports)", item)
		case t.Source == FromSRV:
		case port == "" && defaultPort == "":
			return fmt.Errorf("%q has no port (write %s://%s:PORT)", item, t.Scheme, item)
		case port == "":
			port = defaultPort
		}
		if slices.Contains(t.Hosts, HostPort{host, port}) {
			return fmt.Errorf("%s stands there twice", net.JoinHostPort(host, port))
		}
		t.Hosts = append(t.Hosts, HostPort{host, port})
	}
	if t.Source == FromSRV && len(t.Hosts) > 1 {
		return fmt.Errorf("%q is more than one name (an SRV record names the hosts)", authority)
	}
	return nil
}

func splitHostPort(s string) (host, port string, err error) {
	if s == "" {
		return "", "", fmt.Errorf("a host is missing")
	}
	host = s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
	} else if strings.Contains(s, ":") {
		if host, port, err = net.SplitHostPort(s); err != nil {
			return "", "", fmt.Errorf("%q is not host:port (write IPv6 addresses in brackets)", s)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", "", fmt.Errorf("%q is not a port", port)
		}
	}
	if host == "" || strings.ContainsFunc(host, notInHost) {
		return "", "", fmt.Errorf("%q is not a host", s)
	}
	return host, port, nil
}

// notInHost is what neither a name nor an address has: names of the file /etc/hosts and zones of addresses are taken, too.
func notInHost(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._:%", c))
}

// Sharded tells whether requests are spread by key.
func (t Target) Sharded() bool { return t.Kind == "redis" || t.Kind == "memcached" }

// HostField is what to send as Host for it: the URL's first host, with the port unless it is the scheme's own.
func (t Target) HostField() string {
	if len(t.Hosts) == 0 {
		return "localhost"
	}
	h := t.Hosts[0]
	host := h.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if s, _ := schemeOf(t.Scheme); h.Port == "" || h.Port == s.port {
		return host
	}
	return host + ":" + h.Port
}

// ServerName is the name that a certificate must carry by default.
func (t Target) ServerName() string {
	if len(t.Hosts) == 0 {
		return ""
	}
	return t.Hosts[0].Host
}
