// Package source gets at what applications tell of themselves: documents that are fetched at a scrape, packets and streams
// that are pushed, log files that are followed, and what the kernel knows of their processes.
package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

// A Fetcher gets the document of a pull source. It is called at each scrape, never concurrently.
type Fetcher interface {
	// Fetch appends the document to buf. It gives up when ctx ends.
	Fetch(ctx context.Context, buf []byte) ([]byte, error)
}

// TooLargeError says that a document is above the limit.
type TooLargeError struct{ Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("read document: longer than %d bytes (raise max_bytes)", e.Limit)
}

// StaleError says that a file has not been written for longer than it may be.
type StaleError struct {
	Path string
	Age  time.Duration
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("read %s: last written %s ago (has its writer died? see max_age)", e.Path, e.Age.Round(time.Second))
}

// StatusError says that the app answered with an HTTP error.
type StatusError struct{ Status string }

func (e *StatusError) Error() string { return "get document: " + e.Status }

// DocumentError says that what came is not the whole document.
type DocumentError struct{ Err error }

func (e *DocumentError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *DocumentError) Unwrap() error { return e.Err }

// CredentialsError says that the helper's own credentials cannot be read.
type CredentialsError struct{ Err error }

func (e *CredentialsError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *CredentialsError) Unwrap() error { return e.Err }

// Reason classes the error of a fetch for adapter_source_errors_total; empty without one.
func Reason(err error) string {
	var large *TooLargeError
	var status *StatusError
	var credentials *CredentialsError
	var stale *StaleError
	var document *DocumentError
	var verify *tls.CertificateVerificationError
	var network *net.OpError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &large):
		return "too_large"
	case errors.As(err, &status):
		return "status"
	case errors.As(err, &stale):
		return "stale"
	case errors.As(err, &document), errors.Is(err, io.ErrUnexpectedEOF): // cut short
		return "document"
	case errors.As(err, &credentials):
		return "credentials"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.As(err, &verify), strings.Contains(err.Error(), "tls: "), strings.Contains(err.Error(), "x509: "):
		return "tls"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, ErrNoProcess):
		return "absent"
	case errors.Is(err, fs.ErrPermission):
		return "permission"
	case errors.As(err, &network):
		return "network"
	}
	return "other"
}

// HTTPOptions say where a document is and how it is asked for.
type HTTPOptions struct {
	URL   string // http://, https://, or http+unix:///path/of.sock:/path
	Limit int64  // bytes
	// Accept, when set, says which formats are wanted, best first.
	Accept string
	TLS    *tlsfile.Client
	// Check, when set, may refuse what came. doc is borrowed.
	Check func(contentType string, doc []byte) error
	// Sign, when set, puts credentials on each request.
	Sign func(*http.Request) error
	Log  *slog.Logger
}

// HTTP gets documents. Connections are kept alive.
type HTTP struct {
	o      HTTPOptions
	client *http.Client
	tls    *tlsfile.Source // or nil
}

// NewHTTP returns a fetcher. No proxy is used: the app is in this very Pod.
func NewHTTP(o HTTPOptions) (*HTTP, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	h := &HTTP{o: o}
	transport := &http.Transport{MaxIdleConns: 2, IdleConnTimeout: 2 * time.Minute}
	switch u.Scheme {
	case "http+unix":
		socket, path, _ := strings.Cut(u.Path, ":")
		h.o.URL = (&url.URL{Scheme: "http", Host: "localhost", Path: "/" + strings.TrimPrefix(path, "/"), RawQuery: u.RawQuery}).String()
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}
	case "https":
		var client tlsfile.Client
		if o.TLS != nil {
			client = *o.TLS
		}
		if h.tls, err = tlsfile.New(client); err != nil {
			return nil, err
		}
		transport.TLSClientConfig = h.tls.Config(u.Hostname())
	}
	h.client = &http.Client{Transport: transport}
	return h, nil
}

// Watch follows the TLS files until ctx ends.
func (h *HTTP) Watch(ctx context.Context) {
	if h.tls != nil {
		h.tls.Watch(ctx, h.o.Log)
	}
}

// Fetch implements Fetcher.
func (h *HTTP) Fetch(ctx context.Context, buf []byte) ([]byte, error) {
	return h.get(ctx, h.o.URL, buf)
}

func (h *HTTP) get(ctx context.Context, address string, buf []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return buf, err
	}
	request.Header.Set("User-Agent", "adapter-metrics")
	if h.o.Accept != "" {
		request.Header.Set("Accept", h.o.Accept)
	}
	if h.o.Sign != nil {
		if err := h.o.Sign(request); err != nil {
			return buf, &CredentialsError{err}
		}
	}
	response, err := h.client.Do(request)
	if err != nil {
		return buf, withoutQuery(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
		return buf, &StatusError{Status: response.Status}
	}
	if n := response.ContentLength; n > 0 && n <= h.o.Limit {
		buf = slices.Grow(buf, int(n)+1) // growing bit by bit takes five times that
	}
	begin := len(buf)
	if buf, err = readAll(response.Body, buf, h.o.Limit); err != nil || h.o.Check == nil {
		return buf, err
	}
	if err := h.o.Check(response.Header.Get("Content-Type"), buf[begin:]); err != nil {
		return buf, &DocumentError{err}
	}
	return buf, nil
}

// withoutQuery is a client's error without the query of its URL, where some servers want a token: errors are logged.
func withoutQuery(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		failed.URL, _, _ = strings.Cut(failed.URL, "?")
	}
	return err
}

// Close ends idle connections.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

// File reads a file on a shared volume anew each time.
type File struct {
	Path   string
	Limit  int64
	MaxAge time.Duration // 0: any
}

// Fetch implements Fetcher.
func (f File) Fetch(_ context.Context, buf []byte) ([]byte, error) {
	file, info, err := openRegular(f.Path)
	if err != nil {
		return buf, err
	}
	defer file.Close()
	if age := time.Since(info.ModTime()); f.MaxAge > 0 && age > f.MaxAge {
		return buf, &StaleError{Path: f.Path, Age: age}
	}
	return readAll(file, buf, f.Limit)
}

func readAll(r io.Reader, buf []byte, limit int64) ([]byte, error) {
	r = io.LimitReader(r, limit+1)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return buf, &TooLargeError{Limit: limit}
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}
