package config

import (
	"fmt"
	"net"
	"reflect"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// key is a setting that is a number of something, or a duration.
type key struct {
	name  string
	value int64
}

func notNegative(at string, p *conf.Problems, keys ...key) {
	for _, k := range keys {
		if k.value < 0 {
			p.Add(at+k.name, "is negative", "")
		}
	}
}

func (u *Upstream) validateNumbers(at string, p *conf.Problems) {
	notNegative(at+".", p,
		key{"timeout", int64(u.Timeout)}, key{"connect_timeout", int64(u.ConnectTimeout)}, key{"tls_timeout", int64(u.TLSTimeout)},
		key{"header_timeout", int64(u.HeaderTimeout)}, key{"idle_timeout", int64(u.IdleTimeout)}, key{"keep_alive", int64(u.KeepAlive)},
		key{"slow_start", int64(u.SlowStart)}, key{"limits.requests", int64(u.Limits.Requests)}, key{"limits.queue", int64(u.Limits.Queue)},
		key{"limits.queue_timeout", int64(u.Limits.QueueTimeout)})
	if f := u.Fault; f != nil {
		percent(at+".fault.percent", f.Percent, p)
		notNegative(at+".fault.", p, key{"delay", int64(f.Delay)})
		if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
			p.Add(at+".fault.status", fmt.Sprintf("%d is not the status of an answer", f.Status), "200 to 599")
		}
	}
	if h := u.Health; h != nil {
		h.validate(at+".health", p)
	}
}

func (h *Health) validate(at string, p *conf.Problems) {
	if h.Path != "" && !strings.HasPrefix(h.Path, "/") {
		p.Add(at+".path", "does not begin with /", "")
	}
	if (h.Path != "" && h.GRPC) || (h.Path != "" || h.GRPC) && h.TCP {
		p.Add(at, "has more than one of path, grpc and tcp", "keep one")
	}
	notNegative(at+".", p, key{"interval", int64(h.Interval)}, key{"timeout", int64(h.Timeout)}, key{"fall", int64(h.Fall)}, key{"rise", int64(h.Rise)})
}

// validateKind refuses settings that would have no effect on what the upstream speaks.
func (u *Upstream) validateKind(at string, t Target, p *conf.Problems) {
	if tls := reflect.ValueOf(u.TLS); !t.TLS && !tls.IsZero() {
		p.Add(at+".tls", fmt.Sprintf("has no effect: %s is not encrypted", t.Scheme), "the schemes with TLS are https, h2, grpcs, tls and rediss")
	}
	if t.Kind == "http" || t.Kind == "" {
		return
	}
	for name, set := range map[string]bool{
		"auth": u.Auth != nil && !t.Sharded(), "headers": len(u.Headers.Set)+len(u.Headers.Remove) > 0, "host": u.Host != "",
		"hedge": u.Hedge != nil, "trace": u.Trace, "fault": u.Fault != nil, "upgrade": len(u.Upgrade) > 0,
		"health": u.Health != nil && (u.Health.Path != "" || u.Health.GRPC), "timeout": u.Timeout != 0, "keep_alive": u.KeepAlive != 0,
		"limits": u.Limits != (Limits{}), "header_timeout": u.HeaderTimeout != 0 && !t.Sharded(), "retry": u.Retry.Set && t.Sharded(),
		"slow_start": u.SlowStart != 0 && t.Sharded(), "idle_timeout": u.IdleTimeout != 0,
	} {
		hint := ""
		if name == "idle_timeout" && t.Kind == "tcp" {
			hint = "the listener has an idle_timeout"
		}
		if set {
			p.Add(at+"."+name, fmt.Sprintf("is for HTTP, the upstream speaks %s", t.Kind), hint)
		}
	}
}

// validateKind refuses settings that would have no effect on what the listener speaks.
func (l *Listener) validateKind(at string, p *conf.Problems) {
	sharded := l.Protocol == "redis" || l.Protocol == "memcached"
	for name, set := range map[string]bool{
		"max_body": l.MaxBody != 0 && l.Protocol == "tcp", "head_timeout": l.HeadTimeout != 0 && (l.Protocol == "tcp" || sharded),
		"idle_timeout": l.IdleTimeout != 0 && sharded,
	} {
		if set {
			p.Add(at+"."+name, fmt.Sprintf("has no effect: the listener speaks %s", l.Protocol), "")
		}
	}
}

// validateNames checks what becomes part of a request's head.
func (u *Upstream) validateNames(at string, p *conf.Problems) {
	if u.Host != "" && !httpguts.ValidHostHeader(u.Host) {
		p.Add(at+".host", fmt.Sprintf("%q is not a Host", u.Host), "")
	}
	for i, name := range u.Headers.Remove {
		if !httpguts.ValidHeaderFieldName(name) || framing(name) {
			p.Add(fmt.Sprintf("%s.headers.remove[%d]", at, i), fmt.Sprintf("%q is not a header field that can be removed", name), "")
		}
	}
	for i, name := range u.Upgrade {
		protocol, version, found := strings.Cut(name, "/")
		switch {
		case !httpguts.ValidHeaderFieldName(protocol) || found && !httpguts.ValidHeaderFieldName(version) || name != strings.ToLower(name):
			p.Add(fmt.Sprintf("%s.upgrade[%d]", at, i), fmt.Sprintf("%q is not a protocol in lower case", name), "")
		case protocol == "h2c":
			p.Add(fmt.Sprintf("%s.upgrade[%d]", at, i), "h2c would let requests pass unseen", "the app can begin with HTTP/2 at once")
		}
	}
}

func (m *Match) validate(at string, p *conf.Problems) {
	if m.Path != "" && !strings.HasPrefix(m.Path, "/") {
		p.Add(at+".path", "does not begin with /", "")
	}
	if strings.ContainsAny(m.Host, "/ ") {
		p.Add(at+".host", fmt.Sprintf("%q is not a host", m.Host), "without scheme and path")
	}
	for i, method := range m.Methods {
		if !httpguts.ValidHeaderFieldName(method) || method != strings.ToUpper(method) {
			p.Add(fmt.Sprintf("%s.methods[%d]", at, i), fmt.Sprintf("%q is not a method", method), "methods are upper case, such as POST")
		}
	}
	for name := range m.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			p.Add(at+".header", fmt.Sprintf("%q is not the name of a header field", name), "")
		}
	}
}

// taken notes the sockets of listeners, and finds who has one already.
type taken map[string][]socket // by port, or unix:/path

type socket struct{ host, by string }

func (t taken) add(address, by string) (other string) {
	host, port := "", address
	if !strings.HasPrefix(address, "unix:") && strings.Contains(address, ":") {
		host, port, _ = net.SplitHostPort(address)
		if host == "" || host == "0.0.0.0" || host == "::" {
			host = "*"
		}
	}
	for _, s := range t[port] {
		if s.host == host || s.host == "*" || host == "*" || loopbacks(s.host, host) || loopbacks(host, s.host) {
			return s.by
		}
	}
	t[port] = append(t[port], socket{host, by})
	return ""
}

// loopbacks tells whether both is the pair of loopback addresses, of which one is host.
func loopbacks(both, host string) bool {
	return (both == "" || both == "localhost") && (host == "" || host == "localhost" || host == "127.0.0.1" || host == "::1")
}
