package config

import (
	"os"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// problems of a file.
func problems(t *testing.T, text string) string {
	c := Default()
	c.AdminAddress = ":19102"
	p, err := conf.Parse("c.yaml", []byte(text), &c, os.LookupEnv)
	if err == nil {
		c.Complete()
		c.Validate(p)
		err = p.Err()
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestValidate_NamesEachSettingThatMakesNoSenseOrWouldHaveNoEffect(t *testing.T) {
	up := func(settings string) string {
		return "listeners: [{address: '8080', to: a}]\nupstreams: {a: {" + settings + "}}\n"
	}
	listeners := func(list string) string {
		return "unsafe_listen: true\nlisteners: [" + list + "]\nupstreams: {a: {url: 'http://x'}, b: {url: 'http://y', auth: {bearer: 'file:/t'}}}\n"
	}
	for _, row := range []struct{ name, text, want string }{
		{"negative timeout", up("url: 'http://x', timeout: -2s"), "a.timeout: is negative"},
		{"negative option", up("url: 'http://x?connect_timeout=-2s'"), "a.connect_timeout: is negative"},
		{"negative limit", up("url: 'http://x', limits: {queue: -1}"), "a.limits.queue: is negative"},
		{"negative idle time", listeners("{address: '8080', to: a, idle_timeout: -1s}"), "listeners[0].idle_timeout: is negative"},
		{"negative wait", "startup_wait: -1s\n" + up("url: 'http://x'"), "startup_wait: is negative"},
		{"status of a fault", up("url: 'http://x', fault: {percent: 1, status: 42}"), "a.fault.status: 42 is not the status of an answer"},
		{"path of a check", up("url: 'http://x', health: {path: x}"), "a.health.path: does not begin with /"},
		{"two kinds of check", up("url: 'http://x', health: {path: /x, tcp: true}"), "a.health: has more than one of path, grpc and tcp"},
		{"TLS of a plain upstream", up("url: 'http://x', tls: {ca: /ca.pem}"), "a.tls: has no effect: http is not encrypted"},
		{"credentials of TCP", up("url: 'tcp://x:1', auth: {bearer: 'file:/t'}"), "a.auth: is for HTTP, the upstream speaks tcp"},
		{"idle time of a TCP upstream", up("url: 'tcp://x:1?idle_timeout=5m'"), "a.idle_timeout: is for HTTP, the upstream speaks tcp (the listener has an idle_timeout)"},
		{"time of a Redis command", up("url: 'redis://x', timeout: 1s"), "a.timeout: is for HTTP, the upstream speaks redis"},
		{"queue of TCP", up("url: 'tcp://x:1', limits: {queue: 1}"), "a.limits: is for HTTP, the upstream speaks tcp"},
		{"retries of Redis", up("url: 'redis://x', retry: 2"), "a.retry: is for HTTP, the upstream speaks redis"},
		{"bodies of TCP", "listeners: [{address: '8080', to: a, max_body: 1KiB}]\nupstreams: {a: {url: 'tcp://x:1'}}\n", "listeners[0].max_body: has no effect: the listener speaks tcp"},
		{"idle time of Redis", "listeners: [{address: '8080', to: a, idle_timeout: 1m}]\nupstreams: {a: {url: 'redis://x'}}\n", "listeners[0].idle_timeout: has no effect: the listener speaks redis"},
		{"check by HTTP of Redis", up("url: 'redis://x', health: {path: /x}"), "a.health: is for HTTP, the upstream speaks redis"},
		{"Host", up(`url: 'http://x', host: "a\r\nb: c"`), "is not a Host"},
		{"removal of framing", up("url: 'http://x', headers: {remove: [Host]}"), `a.headers.remove[0]: "Host" is not a header field that can be removed`},
		{"upgrade to h2c", up("url: 'http://x', upgrade: [h2c]"), "a.upgrade[0]: h2c would let requests pass unseen"},
		{"upgrade in upper case", up("url: 'http://x', upgrade: [TLS]"), "a.upgrade[0]: \"TLS\" is not a protocol in lower case"},
		{"fragment", up("url: 'http://x#y'"), `"x#y" is not a host`},
		{"host twice", up("url: 'redis://x,x:6379'"), "x:6379 stands there twice"},
		{"two names for SRV", up("url: 'srv+http://x,y'"), "is more than one name"},
		{"relative file", up("url: 'file+http://x/y'"), "is not file+http:///absolute/path"},
		{"relative socket", up("url: 'unix:x'"), "is not unix:/absolute/path"},
		{"no socket", up("url: 'unix:'"), "is not unix:/absolute/path"},
		{"option twice", up("url: 'http://x?timeout=1s&timeout=2s'"), "option timeout stands there 2 times"},
		{"bearer and password", up("url: 'http://x?bearer=file:/a&password=file:/b'"), "a.auth: has only one of user and password"},
		{"method in lower case", listeners("{address: '8080', routes: [{match: {methods: [post]}, to: a}]}"), `match.methods[0]: "post" is not a method`},
		{"header to match", listeners("{address: '8080', routes: [{match: {header: {'x y': '1'}}, to: a}]}"), `match.header: "x y" is not the name of a header field`},
		{"host to match", listeners("{address: '8080', routes: [{match: {host: 'http://x'}, to: a}]}"), `match.host: "http://x" is not a host`},
		{"empty upstream", "listeners: [{address: '8080', to: a}]\nupstreams: {a: }\n", "upstreams.a: is empty"},
		{"port of all addresses", listeners("{address: ':x', to: a}"), `"x" is not a port`},
		{"loopback twice", listeners("{address: '8080', to: a}, {address: '127.0.0.1:8080', to: a}"), "listeners[1].address: is taken by listeners[0] already"},
		{"all addresses and one", listeners("{address: '127.0.0.1:8080', to: a}, {address: '0.0.0.0:8080', to: a}"), "listeners[1].address: is taken by listeners[0] already"},
		{"port of the admin server", listeners("{address: '19102', to: a}"), "listeners[0].address: is taken by admin_address already"},
		{"socket twice", listeners("{address: 'unix:/s', to: a}, {address: 'unix:/s', to: a}"), "listeners[1].address: is taken by listeners[0] already"},
		{"credentials for a mirror", listeners("{address: ':8080', routes: [{to: a, mirror: {to: b}}]}"), "other hosts could use the credentials"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := problems(t, row.text); !strings.Contains(got, row.want) || strings.Contains(got, "there is no upstream") {
				t.Errorf("got %q", got)
			}
		})
	}
	if got := problems(t, listeners("{address: '127.0.0.1:8080', to: a}, {address: '[::1]:8080', to: a}, {address: '127.0.0.1:8081', to: a}, {address: 'unix:/a', to: a}")); got != "" {
		t.Error(got)
	}
}
