// Package route decides by a listener's rules which upstream gets a request. First match wins.
package route

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// Table is the compiled rules of one listener. It is immutable.
type Table struct{ rules []rule }

type rule struct {
	text     string
	match    config.Match
	fields   []field
	to       []target
	total    int
	splitBy  string // lower-case field name; "" random
	hashBy   string // path, host or a lower-case field name; "" none
	timeout  time.Duration
	tries    int
	handover bool
	extra    bool
	mirror   *layer7.Mirror
}

type field struct{ name, value string }

type target struct {
	up     *upstream.Upstream
	weight int
}

// New compiles the rules of a listener.
func New(l *config.Listener, upstreams map[string]*upstream.Upstream) (*Table, error) {
	t := &Table{}
	routes := l.Routes
	if l.To != "" {
		routes = []config.Route{{To: config.Targets{l.To: 1}}}
	}
	for i := range routes {
		r, err := compile(&routes[i], upstreams)
		if err != nil {
			return nil, err
		}
		r.text = fmt.Sprintf("routes[%d]", i)
		if l.To != "" {
			r.text = "to"
		}
		t.rules = append(t.rules, r)
	}
	return t, nil
}

func compile(c *config.Route, upstreams map[string]*upstream.Upstream) (rule, error) {
	r := rule{match: c.Match, timeout: c.Timeout.D(), tries: c.Retry.Total()}
	r.splitBy = strings.ToLower(strings.TrimPrefix(c.SplitBy, "header:"))
	if r.splitBy == "random" {
		r.splitBy = ""
	}
	r.hashBy = strings.ToLower(strings.TrimPrefix(c.HashBy, "header:"))
	for _, name := range slices.Sorted(maps.Keys(c.Match.Header)) {
		r.fields = append(r.fields, field{strings.ToLower(name), c.Match.Header[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(c.To)) {
		up := upstreams[name]
		if up == nil {
			return r, fmt.Errorf("there is no upstream %q", name)
		}
		r.to = append(r.to, target{up, c.To[name]})
		r.total += c.To[name]
		// One target that the HTTP/1.1 engine cannot serve decides for all, or the split would be drawn twice.
		disturbs := up.Fault() != nil || up.Config().Hedge != nil
		r.handover = r.handover || disturbs || up.NeedsHTTP2()
		r.extra = r.extra || disturbs || up.Target().TLS && !up.NeedsHTTP2()
	}
	if m := c.Mirror; m != nil {
		up := upstreams[m.To]
		if up == nil {
			return r, fmt.Errorf("there is no upstream %q", m.To)
		}
		r.mirror = &layer7.Mirror{To: up, Percent: m.Percent}
		if m.Percent == 0 {
			r.mirror.Percent = 100
		}
		r.handover, r.extra = true, true
	}
	return r, nil
}

// Mirror is layer7.Mirroring.
func (t *Table) Mirror(q *layer7.Request) *layer7.Mirror {
	for i := range t.rules {
		if t.rules[i].matches(q) {
			return t.rules[i].mirror
		}
	}
	return nil
}

// Match is layer7.Route. It allocates nothing.
func (t *Table) Match(q *layer7.Request) layer7.Decision {
	for i := range t.rules {
		r := &t.rules[i]
		if !r.matches(q) {
			continue
		}
		d := layer7.Decision{Upstream: t.choose(r, q), Timeout: r.timeout, Tries: r.tries, Handover: r.handover, Extra: r.extra}
		if k := key(r.hashBy, q); k != nil { // what has no key is spread
			d.Hash, d.Hashed = fnv(k), true
		}
		return d
	}
	return layer7.Decision{}
}

func key(by string, q *layer7.Request) []byte {
	switch by {
	case "":
		return nil
	case "path":
		return q.Path
	case "host":
		return q.Host
	}
	return q.Fields.Get(by)
}

func (t *Table) choose(r *rule, q *layer7.Request) *upstream.Upstream {
	if len(r.to) == 1 {
		return r.to[0].up
	}
	n := -1
	if r.splitBy != "" {
		if v := q.Fields.Get(r.splitBy); v != nil {
			n = int(fnv(v) % uint64(r.total))
		}
	}
	if n < 0 {
		n = rand.IntN(r.total)
	}
	for i := range r.to {
		if n -= r.to[i].weight; n < 0 {
			return r.to[i].up
		}
	}
	return r.to[0].up
}

// fnv is FNV-1a with a final mix: the same user, or key, goes the same way in every Pod and after every restart and reload.
func fnv(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>29
}

func (r *rule) matches(q *layer7.Request) bool {
	m := &r.match
	if m.Path != "" && !underPath(q.Path, m.Path) {
		return false
	}
	if len(m.Methods) > 0 && !anyMethod(m.Methods, q.Method) {
		return false
	}
	if m.Host != "" && !hostMatches(q.Host, m.Host) {
		return false
	}
	for i := range r.fields {
		v := q.Fields.Get(r.fields[i].name)
		if v == nil || r.fields[i].value != "*" && string(v) != r.fields[i].value {
			return false
		}
	}
	return true
}

func anyMethod(methods []string, method []byte) bool {
	for _, m := range methods {
		if m == string(method) {
			return true
		}
	}
	return false
}

// underPath matches whole segments: /a matches /a and /a/b, not /ab; /a/ matches what is below it. A path with dot segments
// or encoded slashes matches no rule with a path: what the upstream would make of it is not what the rule says.
func underPath(path []byte, prefix string) bool {
	if !bytes.HasPrefix(path, []byte(prefix)) || ambiguous(path) {
		return false
	}
	return strings.HasSuffix(prefix, "/") || len(path) == len(prefix) || path[len(prefix)] == '/'
}

func ambiguous(path []byte) bool {
	return bytes.Contains(path, []byte("/../")) || bytes.HasSuffix(path, []byte("/..")) || bytes.Contains(path, []byte("/./")) ||
		bytes.Contains(path, []byte("%2f")) || bytes.Contains(path, []byte("%2F")) || bytes.Contains(path, []byte("%2e")) || bytes.Contains(path, []byte("%2E"))
}

func hostMatches(host []byte, pattern string) bool {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && !bytes.HasSuffix(host, []byte("]")) {
		host = host[:i]
	}
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return len(host) > len(suffix) && bytes.EqualFold(host[len(host)-len(suffix):], []byte(suffix))
	}
	return bytes.EqualFold(host, []byte(pattern))
}

// Switch is a Route whose table can be swapped while requests go through it.
type Switch struct{ table atomic.Pointer[Table] }

// Set swaps the table.
func (s *Switch) Set(t *Table) { s.table.Store(t) }

// Match is layer7.Route.
func (s *Switch) Match(q *layer7.Request) layer7.Decision { return s.table.Load().Match(q) }

// Mirror is layer7.Mirroring.
func (s *Switch) Mirror(q *layer7.Request) *layer7.Mirror { return s.table.Load().Mirror(q) }
