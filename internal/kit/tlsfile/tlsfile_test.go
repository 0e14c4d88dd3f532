package tlsfile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// authority is a certificate authority made for one test.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.cert = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, &a.key.PublicKey)
	a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

func (a *authority) sign(template *x509.Certificate, key *ecdsa.PublicKey) *x509.Certificate {
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	return cert
}

// issue writes name.crt and name.key.
func (a *authority) issue(name string) tls.Certificate {
	a.t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	cert := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}}, &key.PublicKey)
	der, _ := x509.MarshalPKCS8PrivateKey(key)
	crt, k := a.write(name+".crt", "CERTIFICATE", cert.Raw), a.write(name+".key", "PRIVATE KEY", der)
	pair, err := tls.LoadX509KeyPair(crt, k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// server answers one handshake after the other and says who the client was.
func (a *authority) server(name string) (address string, clients chan string) {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{a.issue(name)}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool})
	if err != nil {
		a.t.Fatal(err)
	}
	clients = make(chan string, 1)
	done := make(chan struct{})
	a.t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if c.(*tls.Conn).Handshake() == nil {
				who := ""
				if peers := c.(*tls.Conn).ConnectionState().PeerCertificates; len(peers) > 0 {
					who = peers[0].Subject.CommonName
				}
				clients <- who
			}
			c.Close()
		}
	}()
	return l.Addr().String(), clients
}

func dial(t *testing.T, address string, config *tls.Config) error {
	t.Helper()
	raw, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	return tls.Client(raw, config).Handshake()
}

func TestConfig_VerifiesNameAuthorityAndPins(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	address, clients := a.server("db")
	ca, other := filepath.Join(a.dir, "ca.pem"), filepath.Join(stranger.dir, "ca.pem")
	sum := sha256.Sum256(a.cert.RawSubjectPublicKeyInfo)
	pin, wrong := base64.StdEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, row := range []struct {
		name   string
		client Client
		host   string
		ok     bool
	}{
		{"right name and authority", Client{CA: ca}, "db", true},
		{"wrong name", Client{CA: ca}, "other", false},
		{"wrong name but expected SAN", Client{CA: ca, SAN: "db"}, "10.0.0.7", true},
		{"right name but another SAN wanted", Client{CA: ca, SAN: "x"}, "db", false},
		{"unknown authority", Client{CA: other}, "db", false},
		{"system roots", Client{}, "db", false},
		{"pinned authority", Client{CA: ca, Pins: []string{wrong, pin}}, "db", true},
		{"wrong pin", Client{CA: ca, Pins: []string{wrong}}, "db", false},
		{"nothing verified", Client{InsecureSkipVerify: true}, "whatever", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := New(row.client)
			if err != nil {
				t.Fatal(err)
			}
			err = dial(t, address, s.Config(row.host))
			if (err == nil) != row.ok {
				t.Errorf("handshake: %v", err)
			}
			select {
			case <-clients:
			case <-time.After(time.Second):
				if row.ok {
					t.Error("the server saw no handshake")
				}
			}
		})
	}
}

func TestWatch_ShowsTheNewCertificateAndKeepsTheOldWhenTheNewIsBroken(t *testing.T) {
	a := newAuthority(t)
	address, clients := a.server("db")
	a.issue("one")
	files := t.TempDir()
	swap := func(version, cert string, broken bool) {
		dir := filepath.Join(files, version)
		_ = os.Mkdir(dir, 0o700)
		for _, kind := range []string{"crt", "key"} {
			data, _ := os.ReadFile(filepath.Join(a.dir, cert+"."+kind))
			if broken {
				data = data[:len(data)/2]
			}
			_ = os.WriteFile(filepath.Join(dir, "tls."+kind), data, 0o600)
		}
		_ = os.Symlink(version, filepath.Join(files, "..data_tmp"))
		_ = os.Rename(filepath.Join(files, "..data_tmp"), filepath.Join(files, "..data"))
	}
	swap("..1", "one", false)
	for _, kind := range []string{"crt", "key"} {
		_ = os.Symlink("..data/tls."+kind, filepath.Join(files, "tls."+kind))
	}
	s, err := New(Client{CA: filepath.Join(a.dir, "ca.pem"), Cert: filepath.Join(files, "tls.crt"), Key: filepath.Join(files, "tls.key")})
	if err != nil {
		t.Fatal(err)
	}
	log, text := kittest.Logs(t)
	done := make(chan struct{})
	go func() { defer close(done); s.Watch(t.Context(), log) }()
	t.Cleanup(func() { <-done })

	config := s.Config("db")
	shown := func() string {
		if err := dial(t, address, config); err != nil {
			t.Fatal(err)
		}
		return <-clients
	}
	if got := shown(); got != "one" {
		t.Fatalf("the server saw %q, want one", got)
	}
	a.issue("two")
	swap("..2", "two", false)
	kittest.Eventually(t, 5*time.Second, func() bool { return shown() == "two" }, "the second certificate")
	swap("..3", "two", true)
	kittest.Eventually(t, 5*time.Second, func() bool { return strings.Contains(text.String(), "broken") }, "the broken one to be noticed")
	if got := shown(); got != "two" {
		t.Errorf("after a broken certificate the server saw %q, want two", got)
	}
}

func TestConfig_IsNotResumedByATicketThatIsReadAfterTheCertificateHasRotated(t *testing.T) {
	a := newAuthority(t)
	address, clients := a.server("db")
	for _, name := range []string{"one", "two"} {
		a.issue(name)
	}
	s, err := New(Client{CA: filepath.Join(a.dir, "ca.pem"), Cert: filepath.Join(a.dir, "one.crt"), Key: filepath.Join(a.dir, "one.key")})
	if err != nil {
		t.Fatal(err)
	}
	config := s.Config("db")
	old, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	<-clients
	for _, kind := range []string{"crt", "key"} {
		if err := os.Rename(filepath.Join(a.dir, "two."+kind), filepath.Join(a.dir, "one."+kind)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	_, _ = old.Read(make([]byte, 1)) // the tickets, then the end
	if err := dial(t, address, config); err != nil {
		t.Fatal(err)
	}
	if got := <-clients; got != "two" {
		t.Errorf("the server saw %q, want two", got)
	}
}
