package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// Complete moves URL options into their fields and fills in what follows from other values.
func (c *Config) Complete() {
	for _, name := range c.UpstreamNames() {
		u := c.Upstreams[name]
		if u == nil {
			continue
		}
		if u.optionErrors = u.applyOptions(); u.Via == "" {
			u.Via = c.Via
		}
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.Protocol == "" {
			l.Protocol = c.kindOf(l)
		}
	}
}

// UpstreamNames in order.
func (c *Config) UpstreamNames() []string { return slices.Sorted(maps.Keys(c.Upstreams)) }

func (c *Config) kindOf(l *Listener) string {
	if u := c.Upstreams[l.To]; u != nil {
		if t, err := ParseTarget(u.URL); err == nil && t.Kind != "" {
			return t.Kind
		}
	}
	return "http"
}

// Validate notes everything that is wrong.
func (c *Config) Validate(p *conf.Problems) {
	if len(c.Listeners) == 0 {
		p.Add("listeners", "there is nothing to listen on", "start with --proxy 8080=https://api.example.com")
	}
	if c.MaxConnections < 1 {
		p.Add("max_connections", "must be at least 1", "")
	}
	if s := c.AccessLog.Sample; s < 0 || s > 1 {
		p.Add("access_log.sample", "is not between 0 and 1", "")
	}
	for _, name := range c.UpstreamNames() {
		c.Upstreams[name].validate("upstreams."+name, p)
	}
	notNegative("", p, key{"startup_wait", int64(c.StartupWait)})
	seen := taken{}
	seen.add(c.AdminAddress, "admin_address")
	for i := range c.Listeners {
		at := fmt.Sprintf("listeners[%d]", i)
		l := &c.Listeners[i]
		if other := seen.add(l.Address, at); other != "" {
			p.Add(at+".address", "is taken by "+other+" already", "")
		}
		c.validateListener(at, l, p)
	}
}

func (c *Config) validateListener(at string, l *Listener, p *conf.Problems) {
	exposed, err := Exposed(l.Address)
	switch {
	case err != nil:
		p.Add(at+".address", err.Error(), "write 8080, 127.0.0.1:8080 or unix:/path")
	case exposed && !c.UnsafeListen:
		p.Add(at+".address", l.Address+" can be reached by other hosts", "listen on loopback, or set --unsafe-listen")
	case exposed && !c.AllowRemoteClients && c.injects(l):
		p.Add(at+".address", "other hosts could use the credentials that are injected here", "listen on loopback, or set --allow-remote-clients")
	}
	notNegative(at+".", p, key{"head_timeout", int64(l.HeadTimeout)}, key{"idle_timeout", int64(l.IdleTimeout)})
	l.validateKind(at, p)
	if l.Protocol == "forward" {
		if l.To != "" || len(l.Routes) > 0 {
			p.Add(at, "a forward proxy has neither to nor routes", "name its destinations under allow")
		}
		for i, a := range l.Allow {
			if _, err := ParseAllow(a); err != nil {
				p.Add(fmt.Sprintf("%s.allow[%d]", at, i), err.Error(), "")
			}
		}
		return
	}
	if len(l.Allow) > 0 {
		p.Add(at+".allow", "is for protocol: forward only", "")
	}
	switch {
	case l.To != "" && len(l.Routes) > 0:
		p.Add(at, "has to and routes", "a last route without match is the same as to")
	case l.To == "" && len(l.Routes) == 0:
		p.Add(at, "goes nowhere", "name an upstream with to")
	case len(l.Routes) > 0 && l.Protocol != "http":
		p.Add(at+".routes", "are for HTTP only", "name one upstream with to")
	}
	if l.To != "" {
		c.known(at+".to", l.To, l.Protocol, p)
	}
	for i := range l.Routes {
		c.validateRoute(fmt.Sprintf("%s.routes[%d]", at, i), &l.Routes[i], p)
	}
}

func (c *Config) validateRoute(at string, r *Route, p *conf.Problems) {
	total := 0
	for name, weight := range r.To {
		c.known(at+".to", name, "http", p)
		if weight < 0 {
			p.Add(at+".to."+name, "has a negative weight", "")
		}
		total += weight
	}
	if total == 0 {
		p.Add(at+".to", "goes nowhere", "name an upstream")
	}
	if m := r.Mirror; m != nil {
		c.known(at+".mirror.to", m.To, "http", p)
		percent(at+".mirror.percent", m.Percent, p)
	}
	if r.SplitBy != "" && r.SplitBy != "random" && !strings.HasPrefix(r.SplitBy, "header:") {
		p.Add(at+".split_by", fmt.Sprintf("%q is neither random nor header:NAME", r.SplitBy), "")
	}
	if h := r.HashBy; h != "" && h != "path" && h != "host" && !strings.HasPrefix(h, "header:") {
		p.Add(at+".hash_by", fmt.Sprintf("%q is neither path, host nor header:NAME", h), "")
	}
	notNegative(at+".", p, key{"timeout", int64(r.Timeout)})
	r.Match.validate(at+".match", p)
}

func (c *Config) known(at, name, protocol string, p *conf.Problems) {
	u, ok := c.Upstreams[name]
	if !ok {
		hint := "known: " + strings.Join(c.UpstreamNames(), ", ")
		if near := conf.Nearest(name, c.UpstreamNames()); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		p.Add(at, fmt.Sprintf("there is no upstream %q", name), hint)
		return
	}
	if u == nil {
		return // said where it stands
	}
	if t, err := ParseTarget(u.URL); err == nil && t.Kind != "" && t.Kind != protocol {
		p.Add(at, fmt.Sprintf("%s is a %s upstream, the listener speaks %s", name, t.Kind, protocol), "")
	}
}

func (c *Config) injects(l *Listener) bool {
	names := []string{l.To}
	for _, r := range l.Routes {
		names = slices.AppendSeq(names, maps.Keys(r.To))
		if r.Mirror != nil {
			names = append(names, r.Mirror.To)
		}
	}
	return slices.ContainsFunc(names, func(n string) bool {
		u := c.Upstreams[n]
		return u != nil && (u.Auth != nil || u.TLS.Cert != "")
	})
}

func (u *Upstream) validate(at string, p *conf.Problems) {
	if u == nil {
		p.Add(at, "is empty", "give it a url")
		return
	}
	t, err := ParseTarget(u.URL)
	if err != nil {
		p.Add(at+".url", err.Error(), "")
		return
	}
	for _, err := range u.optionErrors {
		p.Add(at+".url", err.Error(), "")
	}
	u.validateHedge(at, p)
	u.TLS.Validate(at+".tls", p)
	if u.Via != "" {
		if _, err := ViaURL(u.Via); err != nil {
			p.Add(at+".via", err.Error(), "")
		}
	}
	if u.ProxyProtocol != "" && t.Kind != "tcp" {
		p.Add(at+".proxy_protocol", "is for tcp and tls upstreams only", "")
	}
	if !slices.Contains([]string{"", "ewma", "round_robin", "random", "least_request", "ketama", "maglev"}, u.Balance) {
		p.Add(at+".balance", fmt.Sprintf("unknown policy %q", u.Balance), "known: ewma, round_robin, random, least_request, ketama, maglev")
	}
	u.validateSharding(at, t, p)
	u.validateHeaders(at, t, p)
	u.validateNames(at, p)
	u.validateNumbers(at, p)
	u.validateKind(at, t, p)
}

func (u *Upstream) validateHedge(at string, p *conf.Problems) {
	if u.Hedge == nil {
		return
	}
	if _, _, err := u.Hedge.Parse(); err != nil {
		p.Add(at+".hedge.after", err.Error(), "")
	}
}

func (u *Upstream) validateHeaders(at string, t Target, p *conf.Problems) {
	for name, value := range u.Headers.Set {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			p.Add(at+".headers.set."+name, "is not a valid header field", "")
		}
		if framing(name) {
			p.Add(at+".headers.set."+name, "is set by the proxy itself", "")
		}
	}
	if u.Auth == nil {
		return
	}
	if (u.Auth.User == "") != (u.Auth.Password == "") && !t.Sharded() { // Redis has a default user
		p.Add(at+".auth", "has only one of user and password", "")
	}
	if u.Auth.Bearer != "" && u.Auth.User != "" {
		p.Add(at+".auth", "has bearer and user", "exactly one is wanted")
	}
	for name := range u.Auth.Header {
		if !httpguts.ValidHeaderFieldName(name) || framing(name) {
			p.Add(at+".auth.header."+name, "is not a header field that can be set", "")
		}
	}
}

// framing are fields that decide where a message ends or goes.
func framing(name string) bool {
	switch strings.ToLower(name) {
	case "content-length", "transfer-encoding", "connection", "host", "te", "trailer", "upgrade", "keep-alive", "proxy-connection":
		return true
	}
	return false
}

func percent(at string, v float64, p *conf.Problems) {
	if v < 0 || v > 100 {
		p.Add(at, "is not between 0 and 100", "")
	}
}

// Exposed tells whether other hosts can reach a listener address.
func Exposed(address string) (bool, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return false, fmt.Errorf("%q is not unix:/absolute/path", address)
		}
		return false, nil
	}
	host, port := "", address
	if strings.Contains(address, ":") {
		var err error
		if host, port, err = net.SplitHostPort(address); err != nil {
			return false, fmt.Errorf("%q is not [host:]port", address)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return false, fmt.Errorf("%q is not a port", port)
	}
	switch {
	case host == "localhost" || port == address:
		return false, nil
	case host == "":
		return true, nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false, fmt.Errorf("%q is not an address to listen on", host)
	}
	return !ip.IsLoopback(), nil
}
