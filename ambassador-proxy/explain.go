package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/discover"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/route"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

const explainWait = 5 * time.Second // for names to be resolved

// explain shows where one request would go: METHOD URL [-H 'name: value']... It resolves names and sends nothing.
func explain(ctx context.Context, c *config.Config, in kit.Invocation) error {
	if len(in.Args) > 0 {
		switch in.Args[0] {
		case "redis", "memcached":
			return explainShard(ctx, c, in)
		case "forward":
			return explainForward(ctx, c, in)
		}
	}
	method, target, header, err := parseSample(in.Args)
	if err != nil {
		return err
	}
	l := listenerOf(c, target)
	if l == nil {
		return kit.Usage("no listener at %s (known: %s)", target.Host, strings.Join(addresses(c), ", "))
	}
	if l.Protocol != "http" {
		return kit.Usage("the listener at %s speaks %s, which has no requests to explain", l.Address, l.Protocol)
	}
	env := upstream.Env{Log: in.Env.Log, Secrets: in.Env.Secrets, Health: health.NewRegistry(), DNS: &discover.DNS{}, StartupWait: func() time.Duration { return explainWait }}
	ups := map[string]*upstream.Upstream{}
	for _, name := range c.UpstreamNames() {
		u, err := upstream.New(name, *c.Upstreams[name], env)
		if err != nil {
			return err
		}
		defer u.Close()
		ups[name] = u
	}
	fmt.Fprintf(in.Stdout, "listener  %s (%s)\n", l.Address, l.Protocol)
	table, err := route.New(l, ups)
	if err != nil {
		return err
	}
	q := sample(method, target, header)
	rule, ok := table.Explain(q)
	if !ok {
		_, err = fmt.Fprintln(in.Stdout, "route     none matches: 404 no_route")
		return err
	}
	d := table.Match(q)
	up := d.Upstream.(*upstream.Upstream)
	fmt.Fprintf(in.Stdout, "route     %s\n%supstream  %s  %s\n", rule.Text, rule.Share(), up.Name(), up.Config().URL)
	picked, err := up.Choose(ctx, layer7.Pick{Hash: d.Hash, Hashed: d.Hashed})
	if err != nil {
		fmt.Fprintf(in.Stdout, "endpoints none: %v\n", err)
	}
	for _, e := range up.Endpoints() {
		mark := " "
		if e == picked {
			mark = "→"
		}
		fmt.Fprintf(in.Stdout, "endpoint %s%s  %s\n", mark, e.Address(), e.State())
	}
	explainChanges(in, up, rule, d, q)
	return nil
}

// sample is the request as the engines would see it.
func sample(method string, target *url.URL, header http.Header) *layer7.Request {
	return &layer7.Request{Method: []byte(method), Host: []byte(cmp.Or(header.Get("Host"), target.Host)),
		Path: []byte(cmp.Or(target.EscapedPath(), "/")), Query: []byte(target.RawQuery), Fields: fields(header)}
}

func explainChanges(in kit.Invocation, up *upstream.Upstream, rule route.Rule, d layer7.Decision, q *layer7.Request) {
	s := up.Settings()
	host := s.Host
	if host == "" {
		host = "as received"
	}
	fmt.Fprintf(in.Stdout, "host      %s\n", host)
	for _, name := range s.Drop {
		fmt.Fprintf(in.Stdout, "header    %s: the app's copies are dropped\n", name)
	}
	for line := range strings.SplitSeq(string(up.AppendFields(nil, q)), "\r\n") {
		if name, _, ok := strings.Cut(line, ": "); ok {
			fmt.Fprintf(in.Stdout, "header    %s: set\n", name)
		}
	}
	explainExtras(in, up, rule)
	engine := "HTTP/1.1 → HTTP/1.1"
	if d.Handover {
		engine = "net/http"
	}
	text := "none"
	if total := cmp.Or(d.Timeout, s.Total); total > 0 {
		text = total.String()
	}
	c := up.Config()
	fmt.Fprintf(in.Stdout, "engine    %s\ntimers    connect %s, TLS %s, head %s, idle %s, total %s\ntries     %d at most, within the budget\n", engine,
		either(c.ConnectTimeout.D(), 2*time.Second), either(c.TLSTimeout.D(), 5*time.Second), either(s.Header, time.Minute), either(s.Idle, 5*time.Minute), text, cmp.Or(d.Tries, s.Tries, 2))
}

// explainExtras tells of what only some requests meet.
func explainExtras(in kit.Invocation, up *upstream.Upstream, rule route.Rule) {
	c := up.Config()
	if m := rule.Mirror; m != nil {
		fmt.Fprintf(in.Stdout, "mirror    %v %% of the requests, copied to %s\n", m.Percent, m.To.Settings().Name)
	}
	if f := c.Fault; f != nil {
		fmt.Fprintf(in.Stdout, "fault     %v %% of the requests: delay %s, status %d, abort %v\n", f.Percent, f.Delay.D(), f.Status, f.Abort)
	}
	if h := c.Hedge; h != nil {
		fmt.Fprintf(in.Stdout, "hedge     a second endpoint is asked after %s\n", h.After)
	}
	if c.Via != "" {
		fmt.Fprintf(in.Stdout, "via       %s\n", conf.RedactURL(c.Via))
	}
}

func either(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

type fields http.Header

// Get is layer7.Fields.
func (f fields) Get(lower string) []byte {
	if v := http.Header(f).Values(lower); len(v) > 0 {
		return []byte(v[0])
	}
	return nil
}

func parseSample(args []string) (method string, target *url.URL, header http.Header, err error) {
	header = http.Header{}
	var words []string
	for i := 0; i < len(args); i++ {
		if args[i] == "-H" && i+1 < len(args) {
			i++
			name, value, _ := strings.Cut(args[i], ":")
			header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
			continue
		}
		words = append(words, args[i])
	}
	if len(words) == 1 {
		words = append([]string{http.MethodGet}, words...)
	}
	if len(words) != 2 {
		return "", nil, nil, kit.Usage("explain wants METHOD URL [-H 'name: value'], for example GET http://127.0.0.1:8080/v2/x")
	}
	target, err = url.Parse(words[1])
	if err != nil || target.Host == "" {
		return "", nil, nil, kit.Usage("explain: %q is not a URL such as http://127.0.0.1:8080/v2/x", words[1])
	}
	return words[0], target, header, nil
}

// listenerOf finds the listener at the URL's host and port, or else one with its port.
func listenerOf(c *config.Config, target *url.URL) *config.Listener {
	port := cmp.Or(target.Port(), "80")
	i := slices.IndexFunc(c.Listeners, func(l config.Listener) bool { return l.Address == net.JoinHostPort(target.Hostname(), port) })
	if i < 0 {
		i = slices.IndexFunc(c.Listeners, func(l config.Listener) bool {
			return l.Address == port || strings.HasSuffix(l.Address, ":"+port)
		})
	}
	if i < 0 {
		return nil
	}
	return &c.Listeners[i]
}

func addresses(c *config.Config) []string {
	var all []string
	for _, l := range c.Listeners {
		all = append(all, l.Address)
	}
	return all
}
