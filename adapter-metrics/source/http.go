package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
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

// StatusError says that the app answered with an HTTP error.
type StatusError struct{ Status string }

func (e *StatusError) Error() string { return "get document: " + e.Status }

// HTTP gets documents from http:// and https:// URLs, and through a unix socket from
// http+unix:///path/of.sock:/path. Connections are kept alive.
type HTTP struct {
	url    string
	header http.Header
	limit  int64
	client *http.Client
}

// NewHTTP returns a fetcher. No proxy is used: the app is in this very Pod.
func NewHTTP(address string, header http.Header, limit int64) (*HTTP, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxIdleConns: 2, IdleConnTimeout: 2 * time.Minute, DisableCompression: false}
	if u.Scheme == "http+unix" {
		socket, path, _ := strings.Cut(u.Path, ":")
		u = &url.URL{Scheme: "http", Host: "localhost", Path: "/" + strings.TrimPrefix(path, "/"), RawQuery: u.RawQuery}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}
	}
	return &HTTP{url: u.String(), header: header, limit: limit, client: &http.Client{Transport: transport}}, nil
}

// Fetch implements Fetcher.
func (h *HTTP) Fetch(ctx context.Context, buf []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url, nil)
	if err != nil {
		return buf, err
	}
	request.Header.Set("User-Agent", "adapter-metrics")
	for name, values := range h.header {
		request.Header[name] = values
	}
	response, err := h.client.Do(request)
	if err != nil {
		return buf, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
		return buf, &StatusError{Status: response.Status}
	}
	return readAll(response.Body, buf, h.limit)
}

// Close ends idle connections.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

// File reads a file on a shared volume anew each time.
type File struct {
	Path  string
	Limit int64
}

// Fetch implements Fetcher.
func (f File) Fetch(_ context.Context, buf []byte) ([]byte, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return buf, err
	}
	defer file.Close()
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
