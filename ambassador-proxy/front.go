package main

import (
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/forward"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer4"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/listen"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/observe"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/route"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/shard"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// engine serves the connections of a listener.
type engine interface {
	// Serve carries one connection until it ends, and closes it.
	Serve(c net.Conn)
	// Set makes new requests, or new connections, go elsewhere.
	Set(to goal)
	Busy() (connections, requests int)
	LastActivity() time.Time
	// Close ends all connections at once.
	Close()
}

// goal is where a listener's requests go.
type goal struct {
	config *config.Listener
	table  *route.Table
	up     *upstream.Upstream // of a listener without routes
}

// front is one listener with its engine. A change of its settings gives new connections a new engine, on the same sockets;
// those that are open stay with theirs.
type front struct {
	address string
	socks   *listen.Listener
	engine  atomic.Pointer[engine]

	mu     sync.Mutex
	config config.Listener
	old    []engine
}

func newFront(l *config.Listener, socks *listen.Listener) *front {
	return &front{address: l.Address, socks: socks, config: *l}
}

// lead sends the front's requests to a goal, by an engine from make when the one at work has other settings.
func (f *front) lead(to goal, make func(goal) engine) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.engine.Load()
	if before != nil {
		(*before).Set(to)
	}
	for _, e := range f.old {
		e.Set(to)
	}
	f.old = slices.DeleteFunc(f.old, ended)
	if before != nil && sameSettings(&f.config, to.config) {
		f.config = *to.config
		return
	}
	next := make(to)
	f.engine.Store(&next)
	f.config = *to.config
	if before == nil {
		f.socks.Serve(func(c net.Conn) { (*f.engine.Load()).Serve(c) })
		return
	}
	f.old = append(f.old, *before) // even when it is idle: a connection may be on its way there
}

// ended closes a front that has no connection left.
func (f *front) ended() bool {
	if connections, requests, _ := f.busy(); connections+requests > 0 {
		return false
	}
	f.close()
	return true
}

// ended closes an engine that has no connection left.
func ended(e engine) bool {
	if connections, requests := e.Busy(); connections+requests > 0 {
		return false
	}
	e.Close()
	return true
}

// sameSettings tells whether an engine made for a can do for b.
func sameSettings(a, b *config.Listener) bool {
	return a.Protocol == b.Protocol && a.MaxBody == b.MaxBody && a.HeadTimeout == b.HeadTimeout && a.IdleTimeout == b.IdleTimeout
}

func (f *front) settings() config.Listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.config
}

func (f *front) engines() []engine {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Clone(f.old)
	if e := f.engine.Load(); e != nil {
		all = append(all, *e)
	}
	return all
}

// busy is how much is under way, and when there was something last.
func (f *front) busy() (connections, requests int, last time.Time) {
	for _, e := range f.engines() {
		c, r := e.Busy()
		connections, requests = connections+c, requests+r
		if t := e.LastActivity(); t.After(last) {
			last = t
		}
	}
	return connections, requests, last
}

func (f *front) close() {
	f.socks.Close()
	for _, e := range f.engines() {
		e.Close()
	}
}

// engineFor makes the engine of a listener's protocol.
func (s *service) engineFor(to goal) engine {
	l, o := to.config, s.metrics.Listener(to.config.Address)
	switch l.Protocol {
	case "forward":
		return &egress{forward.New(l.Allow, forward.Settings{Observer: o.Egress(),
			HeadTimeout: l.HeadTimeout.D(), ClientIdle: l.IdleTimeout.D(), Body: int64(l.MaxBody)})}
	case "tcp":
		return &stream{layer4.New(to.up, l.IdleTimeout.D(), o.Connection)}
	case "redis", "memcached":
		return &sharding{l.Protocol, shard.New(shard.Config{Upstream: to.up, Metrics: s.shards, Secrets: s.env.Secrets, Command: int(l.MaxBody)})}
	}
	return newWeb(to, o, s.env.Log)
}

// web is HTTP: both engines, of which the HTTP/1.1 one sees every connection first.
type web struct {
	route route.Switch
	h1    *layer7.H1
	std   *layer7.Std
}

func newWeb(to goal, o *observe.Listener, log *slog.Logger) *web {
	w, l := &web{}, to.config
	w.route.Set(to.table)
	w.std = layer7.NewStd(layer7.StdConfig{Route: &w.route, Observer: o, Body: int64(l.MaxBody),
		HeadTimeout: l.HeadTimeout.D(), ClientIdle: l.IdleTimeout.D(), Log: log})
	w.h1 = layer7.NewH1(layer7.H1Config{Route: &w.route, Observer: o, Other: w.std.Serve, Streams: w.std.ServeStream, Body: int64(l.MaxBody),
		HeadTimeout: l.HeadTimeout.D(), ClientIdle: l.IdleTimeout.D()})
	return w
}

func (w *web) Serve(c net.Conn) { w.h1.Serve(c) }

func (w *web) Set(to goal) {
	if to.config.Protocol == "http" {
		w.route.Set(to.table)
	}
}

func (w *web) Busy() (connections, requests int) {
	c1, r1 := w.h1.Busy()
	c2, r2 := w.std.Busy()
	return c1 + c2, r1 + r2
}

func (w *web) LastActivity() time.Time {
	return slices.MaxFunc([]time.Time{w.h1.LastActivity(), w.std.LastActivity()}, time.Time.Compare)
}

func (w *web) Close() {
	w.std.Close()
	w.h1.Close()
}

// stream is TCP.
type stream struct{ *layer4.Proxy }

func (s *stream) Set(to goal) {
	if to.config.Protocol == "tcp" {
		s.Proxy.Set(to.up)
	}
}

// Busy counts a connection whose bytes go both ways as one.
func (s *stream) Busy() (connections, requests int) { return s.Proxy.Busy(), s.Proxy.Busy() / 2 }

// egress is a forward proxy.
type egress struct{ *forward.Proxy }

func (e *egress) Set(to goal) {
	if to.config.Protocol == "forward" {
		e.Proxy.Set(to.config.Allow)
	}
}

// sharding is Redis or memcached.
type sharding struct {
	protocol string
	*shard.Proxy
}

func (s *sharding) Set(to goal) {
	if to.config.Protocol == s.protocol {
		s.Proxy.Set(to.up)
	}
}
