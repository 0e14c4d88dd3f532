// Package tlsfile is the TLS of a client whose files rotate: certificates, keys and CA bundles are read again when a Secret
// or ConfigMap volume changes, and a broken new one leaves the old one at work.
package tlsfile

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/watch"
)

// Client says how a server is verified and what is shown to it. The zero value verifies against the system's or the
// embedded roots.
type Client struct {
	CA                 string   `yaml:"ca,omitempty" doc:"PEM file of the certificate authorities that are trusted instead of the system's."`
	Cert               string   `yaml:"cert,omitempty" doc:"PEM file of the client certificate, with its chain."`
	Key                string   `yaml:"key,omitempty" doc:"PEM file of the client certificate's private key."`
	ServerName         string   `yaml:"server_name,omitempty" doc:"Name sent as SNI and, without san, verified; default is the host of the URL."`
	SAN                string   `yaml:"san,omitempty" doc:"Name that the server's certificate must carry, when it is not the one that is dialled."`
	Pins               []string `yaml:"pins,omitempty" doc:"Base64 SHA-256 of the public keys (SPKI) that are accepted; any one in the verified chain."`
	MinVersion         string   `yaml:"min_version,omitempty" enum:"1.2,1.3" doc:"Lowest TLS version; default 1.2."`
	InsecureSkipVerify bool     `yaml:"insecure_skip_verify,omitempty" doc:"Verify nothing. For tests only."`
}

// Validate notes what is wrong with the settings at path.
func (c Client) Validate(path string, p *conf.Problems) {
	if (c.Cert == "") != (c.Key == "") {
		p.Add(path, "has only one of cert and key", "a client certificate needs both")
	}
	if c.InsecureSkipVerify && (c.SAN != "" || len(c.Pins) > 0 || c.CA != "") {
		p.Add(path+".insecure_skip_verify", "contradicts ca, san and pins", "remove one of them")
	}
	for i, pin := range c.Pins {
		if raw, err := base64.StdEncoding.DecodeString(pin); err != nil || len(raw) != sha256.Size {
			p.Add(fmt.Sprintf("%s.pins[%d]", path, i), "is not the base64 form of a SHA-256", "openssl x509 -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64")
		}
	}
}

// Source holds what has been read last. Safe for concurrent use.
type Source struct {
	client  Client
	files   []string
	watcher *watch.Watcher // of files

	cert  atomic.Pointer[tls.Certificate]
	roots atomic.Pointer[x509.CertPool]

	sessions tls.ClientSessionCache
}

// New reads the files once; the error names the file. Watch follows them afterwards.
func New(c Client) (*Source, error) {
	files := slices.DeleteFunc([]string{c.CA, c.Cert, c.Key}, func(f string) bool { return f == "" })
	s := &Source{client: c, files: files, watcher: watch.New(files...), sessions: tls.NewLRUClientSessionCache(64)}
	return s, s.Reload()
}

// Reload reads the files again. After an error the old ones are still at work.
func (s *Source) Reload() error {
	var cert *tls.Certificate
	var roots *x509.CertPool
	if s.client.Cert != "" {
		pair, err := tls.LoadX509KeyPair(s.client.Cert, s.client.Key)
		if err != nil {
			return fmt.Errorf("load client certificate: %w", err)
		}
		cert = &pair
	}
	if s.client.CA != "" {
		pem, err := os.ReadFile(s.client.CA)
		if err != nil {
			return fmt.Errorf("load certificate authorities: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("load certificate authorities: %s holds no PEM certificate", s.client.CA)
		}
	}
	s.cert.Store(cert)
	s.roots.Store(roots)
	return nil
}

// Watch reloads the files whenever they change, until ctx ends.
func (s *Source) Watch(ctx context.Context, log *slog.Logger) {
	if len(s.files) == 0 {
		<-ctx.Done()
		return
	}
	s.watcher.Run(ctx, log, func() {
		if err := s.Reload(); err != nil {
			log.Error("new TLS files are broken, the old ones go on", "error", err)
			return
		}
		log.Info("TLS files reloaded", "files", s.files)
	})
}

// NotAfter is when the client certificate expires; false without one.
func (s *Source) NotAfter() (time.Time, bool) {
	cert := s.cert.Load()
	if cert == nil {
		return time.Time{}, false
	}
	return cert.Leaf.NotAfter, true
}

// Config is a configuration for handshakes with host, a name or an address. It may be kept: each handshake uses the files
// that were read last. Verification happens in VerifyConnection, because RootCAs could not change afterwards; it is the
// same that crypto/tls does, and it runs on resumed sessions too.
func (s *Source) Config(host string) *tls.Config {
	name := host
	if s.client.ServerName != "" {
		name = s.client.ServerName
	}
	verified := name
	if s.client.SAN != "" {
		verified = s.client.SAN
	}
	c := &tls.Config{
		MinVersion:           tls.VersionTLS12,
		ServerName:           name,
		GetClientCertificate: s.certificate,
		InsecureSkipVerify:   true,
	}
	// A session that is resumed goes on showing the certificate that it began with, and its ticket may be read, and kept,
	// long after the certificate has rotated: with one, every handshake is a full one.
	if s.client.Cert == "" {
		c.ClientSessionCache = s.sessions
	}
	if s.client.MinVersion == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	if !s.client.InsecureSkipVerify {
		c.VerifyConnection = func(state tls.ConnectionState) error { return s.verify(state, verified) }
	}
	return c
}

func (s *Source) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if cert := s.cert.Load(); cert != nil {
		return cert, nil
	}
	return &tls.Certificate{}, nil
}

func (s *Source) verify(state tls.ConnectionState, name string) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("tls: the server shows no certificate")
	}
	roots := s.roots.Load()
	if roots == nil {
		EmbedRoots()
	}
	options := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := state.PeerCertificates[0].Verify(options)
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	if len(s.client.Pins) == 0 || slices.ContainsFunc(chains, s.pinned) {
		return nil
	}
	return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: errors.New("no certificate of the chain has a pinned key")}
}

func (s *Source) pinned(chain []*x509.Certificate) bool {
	return slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
		sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		have := base64.StdEncoding.EncodeToString(sum[:])
		return slices.ContainsFunc(s.client.Pins, func(pin string) bool {
			return subtle.ConstantTimeCompare([]byte(pin), []byte(have)) == 1
		})
	})
}
