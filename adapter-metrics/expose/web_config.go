package expose

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// webFile is a web configuration: the file that Prometheus' own servers and exporters take by --web.config.file
// (prometheus/exporter-toolkit, docs/web-configuration.md). Of its keys only rate_limit is unknown here.
type webFile struct {
	TLS  *webTLS `yaml:"tls_server_config"`
	HTTP struct {
		HTTP2   *bool             `yaml:"http2"` // read, and of no effect: this listener speaks HTTP/1.1
		Headers map[string]string `yaml:"headers"`
	} `yaml:"http_server_config"`
	Users map[string]string `yaml:"basic_auth_users"` // bcrypt hashes by name
}

type webTLS struct {
	Cert            string   `yaml:"cert"`
	CertFile        string   `yaml:"cert_file"`
	Key             string   `yaml:"key"`
	KeyFile         string   `yaml:"key_file"`
	ClientCA        string   `yaml:"client_ca"`
	ClientCAFile    string   `yaml:"client_ca_file"`
	ClientAuth      string   `yaml:"client_auth_type" enum:"NoClientCert,RequestClientCert,RequireAnyClientCert,VerifyClientCertIfGiven,RequireAndVerifyClientCert"`
	ClientSANs      []string `yaml:"client_allowed_sans"`
	MinVersion      string   `yaml:"min_version" enum:"TLS10,TLS11,TLS12,TLS13"`
	MaxVersion      string   `yaml:"max_version" enum:"TLS10,TLS11,TLS12,TLS13"`
	CipherSuites    []string `yaml:"cipher_suites"`
	Curves          []string `yaml:"curve_preferences"`
	PreferOurCipher *bool    `yaml:"prefer_server_cipher_suites"` // read; Go has chosen by itself since 1.17
}

// webSettings is a web configuration that has been read whole.
type webSettings struct {
	tls     *tls.Config // nil: plain HTTP
	headers map[string]string
	users   map[string]string
	files   []stamp // that it was read from, as they were just before
}

// CheckWebConfig reads a web configuration and all that it names, and notes what is wrong.
func CheckWebConfig(file string, p *conf.Problems) {
	_, err := readWebConfig(file)
	var list *conf.Problems
	switch {
	case errors.As(err, &list):
		p.List = append(p.List, list.List...)
	case err != nil:
		p.Add("web_config", err.Error(), "")
	}
}

// readWebConfig returns the files that it has read, or tried to, even with an error.
func readWebConfig(file string) (webSettings, error) {
	s := webSettings{files: []stamp{stampOf(file)}}
	data, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	var f webFile
	if _, err := conf.Parse(file, data, &f, os.LookupEnv); err != nil {
		return s, err
	}
	s.headers, s.users = f.HTTP.Headers, f.Users
	for name, hash := range f.Users {
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			return s, fmt.Errorf("read %s: basic_auth_users.%s: %w (htpasswd -nBC 10 %[2]s)", file, name, err)
		}
	}
	for name := range f.HTTP.Headers {
		if known := "Content-Security-Policy, X-Frame-Options, X-Content-Type-Options, X-XSS-Protection, Strict-Transport-Security"; !slices.Contains(strings.Split(known, ", "), name) {
			return s, fmt.Errorf("read %s: http_server_config.headers: unknown header %q (known: %s)", file, name, known)
		}
	}
	if f.TLS == nil {
		return s, nil
	}
	f.TLS.locate(filepath.Dir(file))
	for _, name := range []string{f.TLS.CertFile, f.TLS.KeyFile, f.TLS.ClientCAFile} {
		if name != "" {
			s.files = append(s.files, stampOf(name))
		}
	}
	if s.tls, err = f.TLS.config(); err != nil {
		return s, fmt.Errorf("read %s: tls_server_config: %w", file, err)
	}
	return s, nil
}

// locate takes relative names from the web configuration's own folder.
func (t *webTLS) locate(dir string) {
	for _, name := range []*string{&t.CertFile, &t.KeyFile, &t.ClientCAFile} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
}

func (t *webTLS) config() (*tls.Config, error) {
	cert, err := inlineOrFile("cert", t.Cert, t.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := inlineOrFile("key", t.Key, t.KeyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("cert and key: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	versions := map[string]uint16{"TLS10": tls.VersionTLS10, "TLS11": tls.VersionTLS11, "TLS12": tls.VersionTLS12, "TLS13": tls.VersionTLS13}
	if t.MinVersion != "" {
		c.MinVersion = versions[t.MinVersion]
	}
	c.MaxVersion = versions[t.MaxVersion]
	if err := t.chosen(c); err != nil {
		return nil, err
	}
	return c, t.clients(c)
}

func inlineOrFile(key, inline, file string) ([]byte, error) {
	switch {
	case (inline == "") == (file == ""):
		return nil, fmt.Errorf("wants one of %s and %s_file", key, key)
	case inline != "":
		return []byte(inline), nil
	}
	return os.ReadFile(file)
}

// chosen takes over cipher suites and curves by their names.
func (t *webTLS) chosen(c *tls.Config) error {
	for _, name := range t.CipherSuites {
		i := slices.IndexFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool { return s.Name == name })
		if i < 0 {
			return fmt.Errorf("cipher_suites: %q is none that is secure", name)
		}
		c.CipherSuites = append(c.CipherSuites, tls.CipherSuites()[i].ID)
	}
	curves := map[string]tls.CurveID{"CurveP256": tls.CurveP256, "CurveP384": tls.CurveP384, "CurveP521": tls.CurveP521, "X25519": tls.X25519}
	for _, name := range t.Curves {
		id, ok := curves[name]
		if !ok {
			return fmt.Errorf("curve_preferences: unknown curve %q", name)
		}
		c.CurvePreferences = append(c.CurvePreferences, id)
	}
	return nil
}

// clients says which certificates a scraper must show.
func (t *webTLS) clients(c *tls.Config) error {
	c.ClientAuth = map[string]tls.ClientAuthType{
		"RequestClientCert": tls.RequestClientCert, "RequireAnyClientCert": tls.RequireAnyClientCert,
		"VerifyClientCertIfGiven": tls.VerifyClientCertIfGiven, "RequireAndVerifyClientCert": tls.RequireAndVerifyClientCert,
	}[t.ClientAuth]
	verified := c.ClientAuth >= tls.VerifyClientCertIfGiven
	if given := t.ClientCA != "" || t.ClientCAFile != ""; given != verified {
		return errors.New("client_ca_file and a client_auth_type that verifies (RequireAndVerifyClientCert) go together")
	}
	if !verified {
		return nil
	}
	pem, err := inlineOrFile("client_ca", t.ClientCA, t.ClientCAFile)
	if err != nil {
		return err
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return errors.New("client_ca_file holds no PEM certificate")
	}
	if len(t.ClientSANs) > 0 {
		c.VerifyConnection = t.allowed
	}
	return nil
}

// allowed refuses client certificates without one of client_allowed_sans.
func (t *webTLS) allowed(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil // VerifyClientCertIfGiven
	}
	leaf := state.PeerCertificates[0]
	names := slices.Concat(leaf.DNSNames, leaf.EmailAddresses)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	if !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(t.ClientSANs, n) }) {
		return errors.New("tls: the client's certificate has none of client_allowed_sans")
	}
	return nil
}
