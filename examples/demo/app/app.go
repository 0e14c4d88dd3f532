// Package app is the application of the example Pods. It knows nothing of log stores, TLS, retries or Prometheus: it
// writes a log file, calls its backend at localhost and serves its statistics in a JSON format of its own.
package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/examples/demo/flags"
	"github.com/pod-helpers/pod-helpers/examples/demo/serve"
)

type options struct {
	listen   string
	logDir   string
	backend  string
	rate     float64
	calls    float64
	callers  int
	orders   int64
	maxBytes int64
	keep     int
	pad      int
	eatAfter int64
	farewell bool

	statsd     string
	statsdRate float64
}

// Main runs the application until ctx ends, or until --orders have been placed.
func Main(ctx context.Context, args []string) error {
	var o options
	fs := flag.NewFlagSet("demo app", flag.ContinueOnError)
	fs.StringVar(&o.listen, "listen", ":8080", "`address` of /stats and /rotate; empty for none")
	fs.StringVar(&o.logDir, "log-dir", "/var/log/app", "`directory` of app.log; empty for no log")
	fs.StringVar(&o.backend, "backend", "", "`URL` of the backend; empty for no calls")
	fs.Float64Var(&o.rate, "rate", 100, "log lines per second")
	fs.Float64Var(&o.calls, "calls", 30, "backend calls per second")
	fs.IntVar(&o.callers, "callers", 1, "how many make the backend calls at a time")
	fs.Int64Var(&o.orders, "orders", 0, "end after this many log lines; 0 for never")
	fs.Int64Var(&o.maxBytes, "rotate-bytes", 256<<10, "size at which app.log is rotated")
	fs.IntVar(&o.keep, "keep", 5, "rotated files kept")
	fs.IntVar(&o.pad, "pad", 0, "extra `bytes` in each line")
	fs.Int64Var(&o.eatAfter, "eat-after", 0, "after this many log lines take memory until killed; 0 for never")
	fs.StringVar(&o.statsd, "statsd", "", "`address` that takes StatsD lines; empty for none")
	fs.Float64Var(&o.statsdRate, "statsd-rate", 100, "StatsD lines per second")
	fs.BoolVar(&o.farewell, "farewell", true, "call the backend and write a last line when stopped")
	if err := flags.Parse(fs, args); err != nil {
		return err
	}
	return run(ctx, o)
}

func run(ctx context.Context, o options) error {
	a := &app{options: o, started: time.Now(), run: runID(), client: client(o.callers)}
	if o.logDir != "" {
		log, err := openLog(o.logDir, a.run, o.maxBytes, o.keep)
		if err != nil {
			return err
		}
		defer log.Close()
		a.log = log
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	failed := make(chan error, 3+o.callers)
	start := func(f func(context.Context) error) {
		work.Go(func() {
			if err := f(ctx); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	if o.listen != "" {
		listener, err := net.Listen("tcp", o.listen)
		if err != nil {
			return err
		}
		start(func(ctx context.Context) error {
			return serve.Until(ctx, listener, &http.Server{Handler: a.handler()})
		})
	}
	if o.backend != "" {
		for range o.callers {
			start(a.callBackend)
		}
	}
	if o.statsd != "" {
		start(a.sendStatsD)
	}
	if a.log != nil {
		start(func(ctx context.Context) error {
			err := a.writeLines(ctx)
			if o.orders > 0 {
				cancel() // a batch job ends when its orders are placed
			}
			return err
		})
	}
	<-ctx.Done()
	work.Wait()
	close(failed)
	return errors.Join(<-failed, a.sayGoodbye(context.WithoutCancel(ctx)))
}

// client keeps a connection for each caller; net/http's default of two would open and close one for nearly every call.
func client(callers int) *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: callers, IdleConnTimeout: 90 * time.Second}}
}

// runID names this run of the application, so that a receiver tells its lines from those of another.
func runID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "app"
	}
	return host + "-" + rand.Text()[:6]
}

type app struct {
	options
	started time.Time
	run     string
	log     *rotatingLog
	client  *http.Client
	numbers numbers
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { serve.JSON(w, a.stats()) })
	mux.HandleFunc("POST /rotate", func(w http.ResponseWriter, _ *http.Request) {
		if a.log == nil {
			http.Error(w, "this application writes no log", http.StatusNotFound)
			return
		}
		if err := a.log.Rotate(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

// writeLines places an order a tick: one line of the log each.
func (a *app) writeLines(ctx context.Context) error {
	const tick = 10 * time.Millisecond
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	message := strings.TrimSpace("order placed " + strings.Repeat(".", a.pad))
	due, begin := 0.0, time.Now()
	for written := int64(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			for due = a.rate * now.Sub(begin).Seconds(); float64(written) < due; written++ {
				if a.orders > 0 && written >= a.orders {
					return nil
				}
				if a.eatAfter > 0 && written >= a.eatAfter {
					return a.eat()
				}
				level := "info"
				if written%50 == 49 {
					level = "warn"
				}
				if err := a.log.write(level, message, written+1, time.Duration(written%17)*time.Millisecond); err != nil {
					return err
				}
			}
		}
	}
}

// eat takes memory until the kernel ends the process. The line before it is the last that a receiver can get.
func (a *app) eat() error {
	if err := a.log.write("error", "out of memory", 0, 0); err != nil {
		return err
	}
	for hoard := [][]byte(nil); ; runtime.KeepAlive(hoard) {
		hoard = append(hoard, bytes.Repeat([]byte{1}, 1<<20))
	}
}

// callBackend makes one call after the other, each in its time; it is one of the callers.
func (a *app) callBackend(ctx context.Context) error {
	ticker := time.NewTicker(time.Duration(float64(time.Second) / a.calls * float64(a.callers)))
	defer ticker.Stop()
	routes := []string{"quote", "stock", "price"}
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			a.call(ctx, routes[i%len(routes)])
		}
	}
}

func (a *app) call(ctx context.Context, route string) {
	begin := time.Now()
	err := a.get(context.WithoutCancel(ctx), route) // a call that has begun is finished
	a.numbers.called(route, time.Since(begin), err)
}

func (a *app) get(ctx context.Context, route string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.backend+"/"+route, nil)
	if err != nil {
		return err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET /%s: %s: %s", route, response.Status, body)
	}
	return err
}

// sayGoodbye does what careful applications do when they are told to stop: one more call, one more line.
func (a *app) sayGoodbye(ctx context.Context) error {
	if !a.farewell {
		return nil
	}
	var err error
	if a.backend != "" {
		if err = a.get(ctx, "farewell"); err != nil {
			err = fmt.Errorf("farewell call: %w", err)
		}
	}
	if a.log != nil {
		message := "farewell"
		if err != nil {
			message = err.Error()
		}
		err = errors.Join(err, a.log.write("info", message, 0, 0))
	}
	return err
}
