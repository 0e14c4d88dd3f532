// Package admin is the HTTP server that every helper has beside its work: probes for the kubelet, metrics, the effective
// configuration, a status page, and actions that only loopback may call.
package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Slow or hostile clients are bounded by these.
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 60 * time.Second
	idleTimeout    = 60 * time.Second
	maxHeaderBytes = 64 << 10
	maxConnections = 256
)

// Check is one row of /readyz?verbose.
type Check struct {
	Name   string
	OK     bool
	Detail string // why not, or a fact worth seeing
}

// Probe is what the server asks the helper. All functions are called concurrently and must be fast.
type Probe struct {
	Ready  func() []Check         // all OK: ready
	Live   func() error           // nil, or names the stuck part
	Config func() ([]byte, error) // effective configuration as YAML, secrets redacted
	Status func() Status          // facts of the status page
	Reload func() error           // POST /-/reload
	Drain  func()                 // POST /-/drain; returns at once
	Quit   func()                 // POST /-/quit; returns at once
}

// Server is the admin server of one helper. Handlers are added before Serve.
type Server struct {
	name    string
	log     *slog.Logger
	mux     *http.ServeMux
	http    *http.Server
	metrics atomic.Pointer[http.Handler]
}

// New makes a server that listens nowhere yet. Its /metrics shows registry until SetMetrics replaces it.
func New(name string, registry *prometheus.Registry, log *slog.Logger) *Server {
	s := &Server{name: name, log: log, mux: http.NewServeMux()}
	s.SetMetrics(promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		Registry: registry, EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError,
	}))
	s.mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) { (*s.metrics.Load()).ServeHTTP(w, r) })
	s.http = &http.Server{
		Handler: s.mux, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ConnState: Crowd(maxConnections), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

// Handle adds a page, with a pattern as http.ServeMux has it: "GET /tail".
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// HandleLoopback adds an action that is refused with 403 to clients that do not come over loopback.
func (s *Server) HandleLoopback(pattern string, h http.Handler) {
	s.mux.Handle(pattern, loopbackOnly(h))
}

// SetMetrics replaces GET /metrics.
func (s *Server) SetMetrics(h http.Handler) { s.metrics.Store(&h) }

// Serve answers on l until Close. It returns nil after Close.
func (s *Server) Serve(l net.Listener, p Probe) error {
	s.routes(p)
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends the answers under way within a short while, then cuts them.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 250*time.Millisecond)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		return s.http.Close()
	}
	return nil
}

func (s *Server) routes(p Probe) {
	live, ready := liveHandler(p.Live), readyHandler(p.Ready)
	for _, path := range []string{"/livez", "/healthz", "/-/healthy"} {
		s.mux.Handle("GET "+path, live)
	}
	for _, path := range []string{"/readyz", "/-/ready"} {
		s.mux.Handle("GET "+path, ready)
	}
	s.mux.Handle("GET /config", configHandler(p.Config))
	s.mux.Handle("GET /{$}", pageHandler(s.name))
	s.mux.Handle("GET /status.json", statusHandler(s.name, p.Status))

	quit := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { p.Quit(); answer(w, http.StatusOK, "quitting") })
	s.HandleLoopback("POST /-/quit", quit)
	s.HandleLoopback("POST /quitquitquit", quit)
	s.HandleLoopback("POST /-/drain", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.Drain()
		answer(w, http.StatusOK, "draining")
	}))
	s.HandleLoopback("POST /-/reload", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := p.Reload(); err != nil {
			answer(w, http.StatusUnprocessableEntity, "not reloaded, the old configuration goes on:\n"+err.Error())
			return
		}
		answer(w, http.StatusOK, "reloaded")
	}))
}

func loopbackOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().Unmap().IsLoopback() {
			answer(w, http.StatusForbidden, "only from loopback: run it in the Pod, e.g. with the quit subcommand")
			return
		}
		// A page in somebody's browser must not be able to stop the helper of his laptop.
		if r.Method == http.MethodPost && r.Header.Get("Origin") != "" {
			answer(w, http.StatusForbidden, "not from a browser")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
