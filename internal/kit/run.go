package kit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
	"github.com/pod-helpers/pod-helpers/internal/kit/cgroup"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/life"
	"github.com/pod-helpers/pod-helpers/internal/kit/logs"
	"github.com/pod-helpers/pod-helpers/internal/kit/trim"
	"github.com/pod-helpers/pod-helpers/internal/kit/watch"
)

// drainGrace is how long a drain may overrun its timeout before the process ends regardless.
const drainGrace = time.Second

// run is the helper's life: configuration, admin server, service, then wait for what ends it.
func (p *process[C]) run(ctx context.Context, args []string) error {
	loaded, done, err := p.load(args)
	if err != nil || done {
		return err
	}
	var watcher *watch.Watcher
	if files := filesOf(loaded); len(files) > 0 && !isStream(loaded.File) {
		// Read again what the watcher has seen, so that no change falls in between.
		watcher = watch.New(files...)
		if loaded, _, err = p.load(args); err != nil {
			return err
		}
	}
	r := newRunner(p, args, loaded)
	r.watcher = watcher
	return r.run(ctx)
}

// filesOf are the files whose change is a change of the configuration: its own, and those that it says are part of it.
func filesOf[C any](loaded *conf.Loaded[C]) (files []string) {
	if loaded.File != "" {
		files = append(files, loaded.File)
	}
	if c, ok := any(loaded.Config).(interface{ Files() []string }); ok {
		files = append(files, c.Files()...)
	}
	return files
}

// isStream tells of what can be read only once: standard input, or the pipe of a shell's <(…).
func isStream(file string) bool {
	info, err := os.Stat(file)
	return err == nil && !info.Mode().IsRegular()
}

// runner is one running helper.
type runner[C any] struct {
	*process[C]
	args    []string
	file    string
	watcher *watch.Watcher // of the configuration's files; nil without any
	level   *slog.LevelVar
	env     Env

	mu       sync.Mutex
	config   *C
	dump     func() ([]byte, error) // of config
	service  Service[C]
	draining bool

	reloading sync.Mutex
	closed    bool // guarded by reloading
	reloadOK  prometheus.Gauge
	reloadAt  prometheus.Gauge

	quit  chan struct{} // closed to drain and exit
	drain chan struct{} // closed to drain only
}

func newRunner[C any](p *process[C], args []string, loaded *conf.Loaded[C]) *runner[C] {
	base := any(loaded.Config).(interface{ Base() *conf.Common }).Base()
	level := &slog.LevelVar{}
	level.Set(logs.Level(base.LogLevel))
	r := &runner[C]{
		process: p, args: args, file: loaded.File, config: loaded.Config, dump: loaded.Dump, level: level,
		env:  p.env(logs.New(p.stderr, level, base.LogFormat)),
		quit: make(chan struct{}), drain: make(chan struct{}),
	}
	r.reloadOK = gauge(p.Metrics+"_config_last_reload_successful", "Whether the last configuration that was offered is the one at work.")
	r.reloadAt = gauge(p.Metrics+"_config_last_reload_success_timestamp_seconds", "When the configuration at work was loaded.")
	r.env.Metrics.MustRegister(readBuild().metric(p.Metrics), r.reloadOK, r.reloadAt,
		collectors.NewGoCollector(), newProcessMetrics())
	r.loadedNow()
	if len(loaded.Links) > 0 {
		r.env.Log.Warn("ignored variables that Kubernetes injects for a Service (set enableServiceLinks: false)", "names", loaded.Links)
	}
	return r
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func (r *runner[C]) base() *conf.Common {
	r.mu.Lock()
	defer r.mu.Unlock()
	return any(r.config).(interface{ Base() *conf.Common }).Base()
}

func (r *runner[C]) run(parent context.Context) error {
	ctx, cancel := context.WithCancel(parent)
	var background sync.WaitGroup
	hurry := false
	defer func() {
		if !hurry {
			background.Wait()
		}
	}()
	defer cancel()
	signals, hangups := make(chan os.Signal, 4), make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(signals)
	defer signal.Stop(hangups)

	background.Go(func() { cgroup.Follow(ctx, r.env.Log) })
	listener, err := net.Listen("tcp", r.base().AdminAddress)
	if err != nil {
		hint := "an address of this Pod? set --admin-address"
		if errors.Is(err, syscall.EADDRINUSE) {
			hint = "another helper in this Pod? set --admin-address"
		}
		return fmt.Errorf("%w (%s)", err, hint)
	}
	if r.base().DebugEndpoints {
		r.env.Admin.EnableDebug()
	}
	background.Go(func() {
		if err := r.env.Admin.Serve(listener, r.probe()); err != nil {
			r.env.Log.Error("admin server stopped", "error", err)
		}
	})
	defer r.env.Admin.Close()

	service, err := r.Start(ctx, r.config, r.env)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.service = service
	r.mu.Unlock()
	r.env.Log.Info("ready", "helper", r.Name, "version", readBuild().version, "admin", listener.Addr().String())
	trim.Program()
	background.Go(func() { r.reloadOn(ctx, hangups) })
	if r.watcher != nil {
		background.Go(func() { r.watcher.Run(ctx, r.env.Log, func() { _ = r.reload(ctx) }) }) // logged there
	}
	err = r.end(ctx, service, signals)
	_, hurry = errors.AsType[*secondSignal](err) // a reload may be under way still
	return err
}

// end waits for what ends the helper, drains and closes it.
func (r *runner[C]) end(ctx context.Context, service Service[C], signals <-chan os.Signal) error {
	drained := make(chan error, 1)
	begin := func(why string) {
		r.mu.Lock()
		first := !r.draining
		r.draining = true
		r.mu.Unlock()
		if first {
			r.env.Log.Info("draining", "because", why, "quiet", r.base().DrainQuiet, "timeout", r.base().DrainTimeout)
			go func() { drained <- r.drainService(ctx, service) }()
		}
	}
	drain := r.drain
	told := false // by a signal
	for leave := false; !leave; {
		select {
		case s := <-signals:
			begin(s.String())
			leave, told = true, true
		case <-r.quit:
			begin("quit")
			leave = true
		case <-drain:
			begin("drain")
			drain = nil
		case <-service.Done():
			begin("finished")
			leave = true
		}
	}
	var err error
	for waiting := true; waiting; {
		select {
		case err = <-drained:
			waiting = false
		case s := <-signals:
			if told {
				return &secondSignal{s}
			}
			told = true // the kubelet's, behind a preStop hook that has said quit
		}
	}
	r.reloading.Lock()
	r.closed = true // the admin server and the watch outlive the service, which must not be started again
	r.reloading.Unlock()
	return errors.Join(service.Err(), err, service.Close())
}

func (r *runner[C]) drainService(ctx context.Context, service Service[C]) error {
	timeout := r.base().DrainTimeout.D()
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan error, 1)
	begin := time.Now()
	go func() { done <- service.Drain(limited, r.base().DrainQuiet.D()) }()
	select {
	case err := <-done:
		if ctx.Err() != nil {
			return err // a second signal has ended it, and is the last word
		}
		facts := []any{"seconds", time.Since(begin).Seconds()}
		if err != nil {
			facts = append(facts, "error", err)
		}
		r.env.Log.Info("drained", facts...)
		return err
	case <-time.After(timeout + drainGrace):
		return &life.Unfinished{}
	}
}

// reloadOn reloads at each signal. The signals that end the helper do not wait for it.
func (r *runner[C]) reloadOn(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			_ = r.reload(ctx) // logged there
		}
	}
}

// reload offers the configuration as it stands now; a bad one leaves the old one at work.
func (r *runner[C]) reload(ctx context.Context) error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	r.mu.Lock()
	service := r.service
	r.mu.Unlock()
	if service == nil {
		return errors.New("not started yet")
	}
	if r.closed {
		return errors.New("ended already")
	}
	var loaded *conf.Loaded[C]
	err := fmt.Errorf("read %s: it can be read only once", r.file)
	if !isStream(r.file) {
		loaded, err = r.loader.Load(r.args, r.environ)
	}
	if err == nil {
		err = service.Reload(ctx, loaded.Config)
	}
	if err != nil {
		r.reloadOK.Set(0)
		r.env.Log.Error("configuration not reloaded, the old one goes on", "error", err)
		return err
	}
	before := r.base()
	r.mu.Lock()
	r.config, r.dump = loaded.Config, loaded.Dump
	r.mu.Unlock()
	if r.watcher != nil {
		r.watcher.Follow(filesOf(loaded)...)
	}
	base := r.base()
	r.level.Set(logs.Level(base.LogLevel))
	if base.AdminAddress != before.AdminAddress || base.LogFormat != before.LogFormat || base.DebugEndpoints != before.DebugEndpoints {
		r.env.Log.Warn("admin_address, log_format and debug_endpoints need a restart to change")
	}
	r.loadedNow()
	r.env.Log.Info("configuration reloaded", "file", r.file)
	return nil
}

func (r *runner[C]) loadedNow() {
	r.reloadOK.Set(1)
	r.reloadAt.SetToCurrentTime()
}

func (r *runner[C]) probe() admin.Probe {
	once := func(c chan struct{}) func() { return sync.OnceFunc(func() { close(c) }) }
	return admin.Probe{
		Ready: r.checks, Live: r.live, Status: r.status,
		Config: func() ([]byte, error) { r.mu.Lock(); defer r.mu.Unlock(); return r.dump() },
		Reload: func() error { return r.reload(context.Background()) },
		Drain:  once(r.drain), Quit: once(r.quit),
	}
}

func (r *runner[C]) current() (Service[C], bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.service, r.draining
}

func (r *runner[C]) checks() []admin.Check {
	service, draining := r.current()
	rows := []admin.Check{{Name: "started", OK: service != nil}, {Name: "not-draining", OK: !draining}}
	if c, ok := any(service).(Checker); ok {
		rows = append(rows, c.Checks()...)
	}
	return rows
}

func (r *runner[C]) live() error {
	service, _ := r.current()
	if l, ok := any(service).(Liver); ok {
		return l.Live()
	}
	return nil
}

func (r *runner[C]) status() admin.Status {
	service, draining := r.current()
	switch {
	case service == nil:
		return admin.Status{Health: "warn", Headline: "starting"}
	case draining:
		s := service.Status()
		s.Headline = "draining: " + s.Headline
		return s
	}
	return service.Status()
}
