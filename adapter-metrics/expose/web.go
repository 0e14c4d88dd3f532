package expose

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/pod-helpers/pod-helpers/internal/kit/admin"
)

// web guards a listener by a web configuration. Its files are looked at by each new connection and each request, as
// exporter-toolkit does, but read only when one of them has changed: there is nothing to start or to stop.
type web struct {
	file string
	log  *slog.Logger

	mu     sync.Mutex
	now    webSettings
	stamps []stamp                    // of the files that were read last, good or bad
	known  map[[sha256.Size]byte]bool // credentials that were right: bcrypt is slow by intent

	hashing sync.Mutex // one bcrypt at a time, so that guesses cannot take the machine
}

// stamp tells whether a file has changed.
type stamp struct {
	name string
	info os.FileInfo // nil: not there
}

func stampOf(name string) stamp {
	info, err := os.Stat(name)
	if err != nil {
		return stamp{name, nil}
	}
	return stamp{name, info}
}

func (s stamp) same() bool {
	now := stampOf(s.name).info
	if now == nil || s.info == nil {
		return now == nil && s.info == nil
	}
	return os.SameFile(now, s.info) && now.ModTime().Equal(s.info.ModTime()) && now.Size() == s.info.Size()
}

func newWeb(file string, log *slog.Logger) (*web, error) {
	w := &web{file: file, log: log}
	return w, w.read()
}

func (w *web) read() error {
	next, err := readWebConfig(w.file)
	w.stamps = next.files
	if err == nil && w.now.files != nil && (next.tls == nil) != (w.now.tls == nil) {
		err = errors.New("tls_server_config cannot come or go without a restart")
	}
	if err == nil {
		w.now, w.known = next, map[[sha256.Size]byte]bool{}
	}
	return err
}

// settings are the ones in force. A broken new configuration leaves the old one at work, and is named once.
func (w *web) settings() webSettings {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.ContainsFunc(w.stamps, func(s stamp) bool { return !s.same() }) {
		return w.now
	}
	if err := w.read(); err != nil {
		w.log.Error("new web configuration is broken, the old one goes on", "error", err)
	} else {
		w.log.Info("web configuration reloaded", "file", w.file)
	}
	return w.now
}

// guard asks for credentials when there are any, and adds the configured headers.
func (w *web) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s := w.settings()
		for name, value := range s.headers {
			rw.Header().Set(name, value)
		}
		if len(s.users) > 0 {
			user, password, ok := r.BasicAuth()
			if !ok || !w.right(s.users, user, password) {
				rw.Header().Set("WWW-Authenticate", "Basic")
				http.Error(rw, "unauthorized", http.StatusUnauthorized)
				return
			}
		}
		next.ServeHTTP(rw, r)
	})
}

// right reports whether the credentials are. A name that is not known costs what a wrong password costs.
func (w *web) right(users map[string]string, user, password string) bool {
	hash, exists := users[user]
	key := sha256.Sum256([]byte(user + "\x00" + hash + "\x00" + password))
	w.mu.Lock()
	ok := w.known[key]
	w.mu.Unlock()
	if ok {
		return true
	}
	if !exists {
		for _, hash = range users {
			break
		}
	}
	w.hashing.Lock()
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	w.hashing.Unlock()
	if !exists || err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[key] = true
	return true
}

// Loopback serves h to clients in the same Pod only: what is guarded on one address must not be open on another.
func Loopback(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !from.Addr().Unmap().IsLoopback() {
			http.Error(w, "only from loopback: scrape --metrics-address", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Slow or hostile clients are bounded by these.
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 3 * time.Minute // a pull may take the two minutes of the longest scrape
	idleTimeout    = 3 * time.Minute
	maxHeaderBytes = 64 << 10
	maxScrapers    = 64
)

// A Listener serves the page, and nothing else, on an address of its own.
type Listener struct {
	net.Listener
	http *http.Server
}

// Listen binds the address. With the file of a web configuration it speaks TLS and asks for credentials as that says.
func Listen(ctx context.Context, address, webConfig string, h http.Handler, log *slog.Logger) (*Listener, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h)
	l := &Listener{http: &http.Server{
		Handler: mux, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ConnState: admin.Crowd(maxScrapers), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	var guarded *web
	var err error
	if webConfig != "" {
		if guarded, err = newWeb(webConfig, log); err != nil {
			return nil, err
		}
		l.http.Handler = guarded.guard(mux)
	}
	if l.Listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address); err != nil {
		return nil, err
	}
	if guarded != nil && guarded.now.tls != nil {
		l.Listener = tls.NewListener(l.Listener, &tls.Config{
			MinVersion:         tls.VersionTLS12, // what counts comes with the handshake
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return guarded.settings().tls, nil },
		})
	}
	return l, nil
}

// Run serves until ctx ends; answers under way then have a moment.
func (l *Listener) Run(ctx context.Context) error {
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 250*time.Millisecond)
		defer cancel()
		err := l.http.Shutdown(ctx)
		if err != nil {
			err = l.http.Close()
		}
		closed <- err
	})
	defer stop()
	if err := l.http.Serve(l.Listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-closed
}
