// Package upstream is the backend of the example Pods: it speaks HTTP/1.1 and HTTP/2 behind TLS with a certificate of
// its own authority, and it is flaky: every tenth request fails, in turn with a 503 and with a reset connection.
// Every tenth rather than a random tenth, so that what the demo shows is the same each time.
package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/examples/demo/flags"
	"github.com/pod-helpers/pod-helpers/examples/demo/serve"
)

// Counts is what GET /counts of the control address answers.
type Counts struct {
	Requests int64 `json:"requests"` // all, the failed ones included
	Refused  int64 `json:"refused"`  // answered with 503
	Reset    int64 `json:"reset"`    // connection or stream cut before the answer
	Farewell int64 `json:"farewell"` // calls of GET /farewell that were answered
	// Client is the serial number of the client certificate of the latest request, in hex; empty without one.
	Client string `json:"client"`
}

// Main serves until ctx ends.
func Main(ctx context.Context, args []string) error {
	var b backend
	var listen, control, cert, key, clientCA string
	fs := flag.NewFlagSet("demo upstream", flag.ContinueOnError)
	fs.StringVar(&listen, "listen", ":8443", "`address` for requests, TLS")
	fs.StringVar(&control, "control", ":8444", "`address` of GET /counts, plain HTTP; empty for none")
	fs.StringVar(&cert, "cert", "/etc/upstream/tls.crt", "certificate `file`")
	fs.StringVar(&key, "key", "/etc/upstream/tls.key", "key `file`")
	fs.StringVar(&clientCA, "client-ca", "", "require client certificates of the authorities in this `file`")
	fs.Int64Var(&b.failEvery, "fail-every", 10, "fail every n-th request; 0 for none")
	keep := fs.Bool("keep-alive", true, "let clients keep their connections")
	fs.DurationVar(&b.delay, "delay", 3*time.Millisecond, "think before each answer")
	if err := flags.Parse(fs, args); err != nil {
		return err
	}
	config, err := tlsConfig(cert, key, clientCA)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if control != "" {
		controlListener, err := net.Listen("tcp", control)
		if err != nil {
			return err
		}
		done := make(chan error, 1)
		go func() { done <- serve.Until(ctx, controlListener, &http.Server{Handler: b.control()}) }()
		defer func() { <-done }()
	}
	server := &http.Server{Handler: &b, TLSConfig: config}
	server.SetKeepAlivesEnabled(*keep)
	return serve.Until(ctx, listener, server)
}

func tlsConfig(cert, key, clientCA string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w (demo certs --dir DIR makes one)", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	if clientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(clientCA)
	if err != nil {
		return nil, err
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read %s: no certificate in it", clientCA)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}

type backend struct {
	failEvery int64
	delay     time.Duration

	requests, refused, reset, farewell atomic.Int64
	client                             atomic.Value // string
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := b.requests.Add(1)
	if len(r.TLS.PeerCertificates) > 0 {
		b.client.Store(r.TLS.PeerCertificates[0].SerialNumber.Text(16))
	}
	if b.failEvery > 0 && n%b.failEvery == 0 {
		if n/b.failEvery%2 == 0 {
			b.refused.Add(1)
			http.Error(w, "the backend is having one of its moments", http.StatusServiceUnavailable)
			return
		}
		b.reset.Add(1)
		cut(w)
	}
	time.Sleep(b.delay)
	if r.URL.Path == "/farewell" {
		b.farewell.Add(1)
	}
	fmt.Fprintf(w, "%s %s over %s\n", r.Method, r.URL.Path, r.Proto)
}

// cut ends the exchange without an answer: a reset connection for HTTP/1.1, a reset stream for HTTP/2.
func cut(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if c, ok := conn.(*tls.Conn); ok {
			if raw, ok := c.NetConn().(*net.TCPConn); ok {
				_ = raw.SetLinger(0) // a RST either way
				raw.Close()
			}
		}
		conn.Close()
	}
	panic(http.ErrAbortHandler)
}

func (b *backend) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		c := Counts{Requests: b.requests.Load(), Refused: b.refused.Load(), Reset: b.reset.Load(), Farewell: b.farewell.Load()}
		c.Client, _ = b.client.Load().(string)
		serve.JSON(w, c)
	})
	return mux
}
