// Package config is what the user writes: listeners, routes and upstreams, the same struct for flags, environment and YAML.
package config

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

// Config of the ambassador. Complete and Validate have run when a stage gets it.
type Config struct {
	conf.Common `yaml:",inline"`

	Listeners []Listener           `yaml:"listeners" doc:"Where the app connects to."`
	Upstreams map[string]*Upstream `yaml:"upstreams" doc:"Where requests go, by name."`

	Via                string        `yaml:"via,omitempty" doc:"Proxy that upstreams are dialled through: socks5://, http:// or https://."`
	UnsafeListen       bool          `yaml:"unsafe_listen,omitempty" doc:"Allow listeners that other hosts can reach."`
	AllowRemoteClients bool          `yaml:"allow_remote_clients,omitempty" doc:"Allow that other hosts use injected credentials."`
	StartupWait        conf.Duration `yaml:"startup_wait" doc:"How long requests are held until the first endpoint is known."`
	MaxConnections     int           `yaml:"max_connections" doc:"Client connections of all listeners together."`
	AccessLog          AccessLog     `yaml:"access_log,omitempty" doc:"One line for each request, tunnel and TCP connection on standard output."`
}

// AccessLog says which requests are logged and how.
type AccessLog struct {
	Format string  `yaml:"format,omitempty" enum:"off,text,json" doc:"Form of a line; off by default."`
	Sample float64 `yaml:"sample,omitempty" doc:"Share of the successful requests that is logged, 0 to 1; failures always are. Default 1."`
}

// Listener is one address of the app's side.
type Listener struct {
	Address  string   `yaml:"address" doc:"[host:]port (both loopbacks by default) or unix:/path."`
	Protocol string   `yaml:"protocol,omitempty" enum:"http,tcp,forward,redis,memcached" doc:"Default: what the upstream's URL says."`
	To       string   `yaml:"to,omitempty" doc:"Upstream of everything that comes in here."`
	Routes   []Route  `yaml:"routes,omitempty" doc:"First match wins; instead of to."`
	Allow    []string `yaml:"allow,omitempty" doc:"Destinations of a forward proxy: host:port, *.example.com:443, 10.0.0.0/8:*."`

	MaxBody     conf.Size     `yaml:"max_body,omitempty" doc:"Largest request body; none by default."`
	HeadTimeout conf.Duration `yaml:"head_timeout,omitempty" doc:"From the first byte of a request to the end of its head; default 30s."`
	IdleTimeout conf.Duration `yaml:"idle_timeout,omitempty" doc:"Between requests (HTTP, default 1h) or bytes (TCP, default none)."`
}

// Route sends the requests that it matches somewhere.
type Route struct {
	Match   Match         `yaml:"match,omitempty" doc:"All conditions must hold; none matches everything."`
	To      Targets       `yaml:"to" doc:"An upstream, or a map of upstreams and weights."`
	SplitBy string        `yaml:"split_by,omitempty" doc:"header:NAME keeps requests with the same value on the same upstream; default random."`
	HashBy  string        `yaml:"hash_by,omitempty" doc:"header:NAME, path or host: key for the ketama and maglev policies."`
	Timeout conf.Duration `yaml:"timeout,omitempty" doc:"Of the whole exchange; default none."`
	Retry   Tries         `yaml:"retry,omitempty" doc:"off, or how often a request is tried again at most."`
	Mirror  *Mirror       `yaml:"mirror,omitempty" doc:"Send copies elsewhere and ignore the answers."`
}

// Match are the conditions of a route.
type Match struct {
	Host    string            `yaml:"host,omitempty" doc:"Host without port, or *.example.com."`
	Path    string            `yaml:"path,omitempty" doc:"Prefix of the path, as received; it matches whole segments."`
	Methods []string          `yaml:"methods,omitempty" doc:"Any of these."`
	Header  map[string]string `yaml:"header,omitempty" doc:"Exact values by name; * matches any value."`
}

// Mirror copies a share of the requests to an upstream whose answers are thrown away.
type Mirror struct {
	To      string  `yaml:"to" doc:"Upstream that gets the copies."`
	Percent float64 `yaml:"percent,omitempty" doc:"Share of the requests; default 100."`
}

// Upstream is one destination.
type Upstream struct {
	URL string `yaml:"url" doc:"http, https, h2c, h2, grpc, grpcs, tcp, tls, redis, rediss, memcached or unix; srv+ and file+ in front for SRV records and endpoint files."`

	Balance string         `yaml:"balance,omitempty" enum:"ewma,round_robin,random,least_request,ketama,maglev" doc:"Policy; default ewma."`
	Host    string         `yaml:"host,omitempty" doc:"Host to send: keep leaves the app's; default the URL's."`
	Auth    *Auth          `yaml:"auth,omitempty" doc:"Credentials to inject."`
	Headers Headers        `yaml:"headers,omitempty" doc:"Request headers to set and to remove."`
	TLS     tlsfile.Client `yaml:"tls,omitempty" doc:"How the server is verified and what is shown to it."`
	Via     string         `yaml:"via,omitempty" doc:"Proxy to dial through."`

	Timeout        conf.Duration `yaml:"timeout,omitempty" doc:"Of the whole exchange; default none."`
	ConnectTimeout conf.Duration `yaml:"connect_timeout,omitempty" doc:"Default 2s."`
	TLSTimeout     conf.Duration `yaml:"tls_timeout,omitempty" doc:"Of the handshake; default 5s."`
	HeaderTimeout  conf.Duration `yaml:"header_timeout,omitempty" doc:"Until the response head; default 60s."`
	IdleTimeout    conf.Duration `yaml:"idle_timeout,omitempty" doc:"Of a stream without a byte; default 5m."`
	KeepAlive      conf.Duration `yaml:"keep_alive,omitempty" doc:"How long an idle connection is kept; default 30s."`

	Retry     Tries         `yaml:"retry,omitempty" doc:"off, or how often a request is tried again at most; default 1."`
	Limits    Limits        `yaml:"limits,omitempty" doc:"What is refused rather than queued without end."`
	Health    *Health       `yaml:"health,omitempty" doc:"Active checks; ejection by results is always on."`
	Fault     *Fault        `yaml:"fault,omitempty" doc:"Faults on purpose."`
	SlowStart conf.Duration `yaml:"slow_start,omitempty" doc:"How long a new endpoint's share grows; default none."`
	Upgrade   []string      `yaml:"upgrade,omitempty" doc:"Protocols besides websocket that may be upgraded to."`

	Hedge *Hedge `yaml:"hedge,omitempty" doc:"Send a slow idempotent request without a body to a second endpoint too."`
	Trace bool   `yaml:"trace,omitempty" doc:"Start a trace (traceparent) for requests that carry none."`

	ProxyProtocol string `yaml:"proxy_protocol,omitempty" enum:"v1,v2" doc:"Announce the client's address (tcp and tls only)."`

	Hash    string `yaml:"hash,omitempty" enum:"fnv1a_64,fnv1a_32,fnv1_64,fnv1_32,md5,crc32a,one_at_a_time" doc:"Of a key (redis and memcached only); default fnv1a_64, as twemproxy."`
	HashTag string `yaml:"hash_tag,omitempty" doc:"Two characters that enclose the part of a key that is hashed, or off; default {}."`

	optionErrors []error // of the URL's query string
}

// Auth are credentials that the app never sees.
type Auth struct {
	Bearer   conf.Secret            `yaml:"bearer,omitempty" doc:"Authorization: Bearer."`
	User     string                 `yaml:"user,omitempty" doc:"Authorization: Basic, with password."`
	Password conf.Secret            `yaml:"password,omitempty" doc:"Authorization: Basic, with user."`
	Header   map[string]conf.Secret `yaml:"header,omitempty" doc:"Any other secret header."`
}

// Headers are rules for request headers.
type Headers struct {
	Set    map[string]string `yaml:"set,omitempty" doc:"Replaces the app's copies."`
	Remove []string          `yaml:"remove,omitempty" doc:"Never forwarded."`
}

// Limits bound what waits and works.
type Limits struct {
	Requests     int           `yaml:"requests,omitempty" doc:"In flight at once; default 10000."`
	Queue        int           `yaml:"queue,omitempty" doc:"Waiting for a place; default 1000."`
	QueueTimeout conf.Duration `yaml:"queue_timeout,omitempty" doc:"Longest wait; default 1s."`
}

// Health are active checks.
type Health struct {
	Path     string        `yaml:"path,omitempty" doc:"GET of it must answer 2xx or 3xx."`
	GRPC     bool          `yaml:"grpc,omitempty" doc:"grpc.health.v1.Health/Check must say SERVING."`
	TCP      bool          `yaml:"tcp,omitempty" doc:"Connecting must succeed."`
	Interval conf.Duration `yaml:"interval,omitempty" doc:"Default 5s, jittered."`
	Timeout  conf.Duration `yaml:"timeout,omitempty" doc:"Default 2s."`
	Fall     int           `yaml:"fall,omitempty" doc:"Failures in a row that take it out; default 3."`
	Rise     int           `yaml:"rise,omitempty" doc:"Successes in a row that take it in; default 2."`
}

// Fault is chaos on purpose.
type Fault struct {
	Percent float64       `yaml:"percent" doc:"Share of the requests."`
	Delay   conf.Duration `yaml:"delay,omitempty" doc:"Wait before the request is sent."`
	Status  int           `yaml:"status,omitempty" doc:"Answer this and send nothing."`
	Abort   bool          `yaml:"abort,omitempty" doc:"Cut the app's connection."`
}

// Targets are upstreams and their weights.
type Targets map[string]int

// UnmarshalYAML reads a name, or a map of names and weights.
func (t *Targets) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*t = Targets{n.Value: 1}
		return nil
	}
	m := map[string]int{}
	if err := n.Decode(&m); err != nil {
		return fmt.Errorf("wants the name of an upstream or a map of names and weights")
	}
	*t = m
	return nil
}

// MarshalYAML writes the short form for a single upstream.
func (t Targets) MarshalYAML() (any, error) {
	if len(t) == 1 {
		for name := range t {
			return name, nil
		}
	}
	return map[string]int(t), nil
}

// JSONSchema describes both forms.
func (Targets) JSONSchema() map[string]any {
	return map[string]any{"oneOf": []any{
		map[string]any{"type": "string"},
		map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "integer", "minimum": 0}},
	}}
}

// Tries is how often a request is tried again: off, or a number. The zero value leaves the default.
type Tries struct {
	Set   bool
	Again int
}

// Total is the number of tries, the first included; 0 for the default.
func (t Tries) Total() int {
	if !t.Set {
		return 0
	}
	return t.Again + 1
}

// IsZero lets omitempty drop it.
func (t Tries) IsZero() bool { return !t.Set }

// ParseTries reads off or 0 to 10.
func ParseTries(s string) (Tries, error) {
	if s == "off" || s == "false" {
		return Tries{Set: true}, nil
	}
	var n int
	if _, err := fmt.Sscanf(s, "%d", &n); err != nil || n < 0 || n > 10 || fmt.Sprint(n) != s {
		return Tries{}, fmt.Errorf("%q is neither off nor a number from 0 to 10", s)
	}
	return Tries{Set: true, Again: n}, nil
}

// UnmarshalYAML reads off or a number.
func (t *Tries) UnmarshalYAML(n *yaml.Node) (err error) {
	*t, err = ParseTries(n.Value)
	return err
}

// MarshalYAML writes off or the number.
func (t Tries) MarshalYAML() (any, error) {
	if t.Again == 0 {
		return "off", nil
	}
	return t.Again, nil
}

// JSONSchema describes the YAML form.
func (Tries) JSONSchema() map[string]any {
	return map[string]any{"type": []string{"string", "integer", "boolean"}, "examples": []any{"off", 2}}
}

// Default is the configuration before anything is said.
func Default() Config {
	return Config{
		StartupWait:    conf.Duration(10 * time.Second),
		MaxConnections: 20000,
		Upstreams:      map[string]*Upstream{},
	}
}
