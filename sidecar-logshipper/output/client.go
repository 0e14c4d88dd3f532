package output

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/pod-helpers/pod-helpers/internal/kit/backoff"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

// HTTPConfig is what all outputs over HTTP have in common.
type HTTPConfig struct {
	URL         string                 `yaml:"url" doc:"http:// or https:// URL; without a path, the usual one of this kind of destination is taken."`
	Auth        Auth                   `yaml:"auth,omitempty"`
	Headers     map[string]conf.Secret `yaml:"headers,omitempty" doc:"Further request headers; file:/path values are re-read when they rotate."`
	TLS         tlsfile.Client         `yaml:"tls,omitempty"`
	Compression string                 `yaml:"compression,omitempty" enum:"none,gzip,zstd,snappy" doc:"How request bodies are packed; the default depends on the kind, and is none to loopback."`
	Timeout     conf.Duration          `yaml:"timeout,omitempty" doc:"For one request, its answer included; default 30s."`
}

// Auth says how requests are signed. At most one kind.
type Auth struct {
	Bearer   conf.Secret `yaml:"bearer,omitempty" doc:"Token of Authorization: Bearer."`
	Username string      `yaml:"username,omitempty" doc:"Of Authorization: Basic."`
	Password conf.Secret `yaml:"password,omitempty" doc:"Of Authorization: Basic."`
}

const defaultTimeout = 30 * time.Second

// client posts bodies to one URL. One request is under way at a time.
type client struct {
	http      *http.Client
	url       string
	config    HTTPConfig
	headers   map[string]conf.Secret
	secrets   *conf.Secrets
	scheme    string // of Authorization, with token
	token     conf.Secret
	packer    packer
	refusal   []byte         // the body of the last answer that was not 2xx
	last      *http.Response // the last answer, its body read
	stopWatch context.CancelFunc
	watching  chan struct{}
}

// newClient makes a client for the configured URL, with path added where it has none.
func newClient(c HTTPConfig, path string, headers map[string]conf.Secret, env Env) (*client, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("parse url: %w", err)
	}
	if strings.TrimRight(u.Path, "/") == "" {
		u.Path = path
	}
	files, err := tlsfile.New(c.TLS)
	if err != nil {
		return nil, err
	}
	p, err := newPacker(c.Compression)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &client{
		http: &http.Client{Transport: transport(files.Config(u.Hostname())), CheckRedirect: noRedirect},
		url:  u.String(), config: c, headers: headers, secrets: env.Secrets, packer: p,
		scheme: "Bearer", token: c.Auth.Bearer,
		stopWatch: stop, watching: make(chan struct{}),
	}
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	go func() { defer close(k.watching); files.Watch(ctx, log) }()
	return k, nil
}

// noRedirect keeps a 3xx as the answer: a body is not posted to where nobody configured it.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func transport(tlsConfig *tls.Config) *http.Transport {
	proxy := httpproxy.FromEnvironment().ProxyFunc()
	dialer := net.Dialer{Timeout: 10 * time.Second}
	t := &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if tcp, ok := conn.(*net.TCPConn); ok {
				return wholeBodyConn{tcp}, nil
			}
			return conn, err
		},
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
		Protocols:           new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true) // one request at a time: HTTP/2 has nothing to multiplex
	return t
}

// post sends one body; check, if any, reads the body of a 2xx answer. It makes one attempt and returns the package's errors.
func (c *client) post(ctx context.Context, body []byte, check func([]byte) error) error {
	packed, encoding := c.packer.pack(body)
	return c.do(ctx, http.MethodPost, c.url, packed, func(r *http.Request) error {
		if encoding != "" {
			r.Header.Set("Content-Encoding", encoding)
		}
		return nil
	}, check)
}

// do makes one attempt at a request; finish sets what only the caller knows, after all other headers.
func (c *client) do(ctx context.Context, method, target string, body []byte, finish func(*http.Request) error, check func([]byte) error) error {
	timeout := c.config.Timeout.D()
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	bodies := &wholeBodies{data: body}
	defer bodies.wait()
	defer cancel() // before wait: it is what ends a write that the destination does not read
	request, err := http.NewRequestWithContext(ctx, method, target, bodies.next())
	if err != nil {
		return &Retryable{Reason: "request", Err: err}
	}
	request.ContentLength = int64(len(body))
	request.GetBody = func() (io.ReadCloser, error) { return bodies.next(), nil }
	if err := errors.Join(c.sign(request), finish(request)); err != nil {
		_ = request.Body.Close()
		return &Retryable{Reason: "auth", Err: err}
	}
	response, err := c.http.Do(request)
	if err != nil {
		return networkError(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return networkError(fmt.Errorf("read answer: %w", err))
	}
	c.last = response
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		c.secrets.Expire()
	}
	if err := statusError(response, answer); err != nil || check == nil {
		c.refusal = answer
		return err
	}
	return check(answer)
}

// maxAnswer bounds an answer in bytes: a bulk answer has some 200 bytes for each record of a batch.
const maxAnswer = 8 << 20

// sign sets the headers; each secret is read anew, for it may have rotated.
func (c *client) sign(r *http.Request) error {
	for _, headers := range []map[string]conf.Secret{c.headers, c.config.Headers} {
		for name, ref := range headers {
			value, err := c.secrets.Get(ref)
			if err != nil {
				return err
			}
			r.Header.Set(name, value)
		}
	}
	if c.token != "" {
		token, err := c.secrets.Get(c.token)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", c.scheme+" "+token)
	}
	if a := c.config.Auth; a.Username != "" {
		password, err := c.secrets.Get(a.Password)
		if err != nil {
			return err
		}
		r.SetBasicAuth(a.Username, password)
	}
	return nil
}

func (c *client) close() error {
	c.stopWatch()
	<-c.watching
	c.http.CloseIdleConnections()
	return nil
}

// statusError classifies an answer. What is neither success nor a refusal of this very body may pass, even a 404: the
// destination may be half installed, and the records are kept until somebody has looked.
func statusError(r *http.Response, answer []byte) error {
	code := r.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	err := fmt.Errorf("%s: %s", r.Status, brief(answer))
	if to, lerr := r.Location(); lerr == nil && code >= 300 && code < 400 {
		err = fmt.Errorf("%s to %s (redirects are not followed: write where it goes)", r.Status, bare(to.String()))
	}
	switch code {
	case http.StatusRequestEntityTooLarge:
		return &TooLarge{Err: err}
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return &Rejected{Err: err}
	}
	reason := fmt.Sprint(code)
	switch {
	case code >= 500:
		reason = "5xx"
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		reason = "auth"
	case code != http.StatusTooManyRequests && code != http.StatusRequestTimeout && code != http.StatusTooEarly:
		reason = "status"
	}
	after, _ := backoff.RetryAfter(r.Header, time.Now())
	return &Retryable{Reason: reason, After: after, Err: err}
}

// networkError says timeout or network. The URL is left out: its query may hold what is nobody's business.
func networkError(err error) error {
	reason := "network"
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		reason = "timeout"
	}
	if of, ok := errors.AsType[*url.Error](err); ok {
		err = of.Err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		err = fmt.Errorf("%w (tls.ca names whom to trust, tls.server_name whom the certificate is for)", err)
	}
	return &Retryable{Reason: reason, Err: err}
}

// brief is the start of an answer for an error message, on one line.
func brief(answer []byte) string {
	const most = 300
	return strings.Join(strings.Fields(string(answer[:min(len(answer), most)])), " ")
}
