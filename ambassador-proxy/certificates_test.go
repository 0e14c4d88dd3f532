package main

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
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// issuer signs certificates in a test.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newIssuer(t *testing.T) *issuer {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "issuer"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a := &issuer{}
	a.cert, a.key, a.pem, _ = a.sign(t, template)
	return a
}

func (a *issuer) sign(t *testing.T, template *x509.Certificate) (cert *x509.Certificate, key *ecdsa.PrivateKey, certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// secured is a TLS server for name that asks for certificates of the issuer and answers whose it was shown.
func (a *issuer) secured(t *testing.T, name string) (host string, pin string) {
	cert, _, certPEM, keyPEM := a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return l.Addr().String(), base64.StdEncoding.EncodeToString(sum[:])
}

// secretVolume is a folder as the kubelet makes it: files are links into ..data, which is a link that a change swaps.
type secretVolume struct {
	dir string
	n   int
}

func (v *secretVolume) swap(t *testing.T, files map[string][]byte) {
	t.Helper()
	v.n++
	version := fmt.Sprintf("..v%d", v.n)
	if err := os.Mkdir(filepath.Join(v.dir, version), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		write(t, filepath.Join(v.dir, version, name), string(data))
		_ = os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name)) // is there from the second swap on
	}
	fresh := filepath.Join(v.dir, "..data_tmp")
	if err := os.Symlink(version, fresh); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, filepath.Join(v.dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

func (a *issuer) client(t *testing.T, name string, until time.Time) map[string][]byte {
	_, _, certPEM, keyPEM := a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return map[string][]byte{"tls.crt": certPEM, "tls.key": keyPEM, "ca.crt": a.pem}
}

func TestCertificates_RotateBySymlinkSwapForNewHandshakesWhileOldConnectionsLive(t *testing.T) {
	a := newIssuer(t)
	host, pin := a.secured(t, "shop.internal")
	v := &secretVolume{dir: t.TempDir()}
	expires := time.Now().Add(30 * time.Minute).Truncate(time.Second)
	v.swap(t, a.client(t, "first", time.Time{}))
	pooled, fresh := kittest.FreeAddress(t), kittest.FreeAddress(t)
	files := fmt.Sprintf("ca: %[1]s/ca.crt, cert: %[1]s/tls.crt, key: %[1]s/tls.key, san: shop.internal, pins: [%[2]q]", v.dir, pin)
	admin, _, p := launched(t, fmt.Sprintf(`
listeners: [{address: %q, to: pooled}, {address: %q, to: fresh}]
upstreams:
  pooled: {url: "https://%s", keep_alive: 1m, tls: {%s}}
  fresh: {url: "https://%s", keep_alive: 1ns, tls: {%s}}
`, pooled, fresh, host, files, host, files))
	for _, h2 := range []bool{false, true} {
		if _, got := do(t, client(t, h2), "GET", "http://"+pooled, ""); got != "first" {
			t.Fatalf("h2 %v: the server saw %q", h2, got)
		}
	}
	v.swap(t, a.client(t, "second", expires))
	seen := func(address string, h2 bool) string {
		_, got := do(t, client(t, h2), "GET", "http://"+address, "")
		return got
	}
	kittest.Eventually(t, 20*time.Second, func() bool { return seen(fresh, false) == "second" && seen(fresh, true) == "second" }, "new handshakes with the new certificate")
	for _, h2 := range []bool{false, true} {
		if got := seen(pooled, h2); got != "first" {
			t.Errorf("h2 %v: the open connection did not live on: %q", h2, got)
		}
	}
	metric := fmt.Sprintf(`ambassador_tls_cert_not_after_seconds{upstream="fresh"} %v`, float64(expires.Unix()))
	if _, metrics := kittest.Get("http://" + admin + "/metrics"); !strings.Contains(metrics, metric) {
		t.Errorf("not in the metrics: %s", metric)
	}
	broken := a.client(t, "third", time.Time{})
	broken["tls.crt"] = []byte("-----BEGIN CERTIFICATE-----\nhalf of it")
	v.swap(t, broken)
	kittest.Eventually(t, 20*time.Second, func() bool { return strings.Contains(p.Stderr.String(), "new TLS files are broken") }, "word of the broken certificate")
	if got := seen(fresh, false); got != "second" {
		t.Errorf("after a broken certificate the server saw %q", got)
	}
	v.swap(t, a.client(t, "fourth", time.Time{}))
	kittest.Eventually(t, 20*time.Second, func() bool { return seen(fresh, false) == "fourth" }, "the repaired certificate")
}

func TestCertificates_APinOrANameThatDoesNotFitIsRefused(t *testing.T) {
	a := newIssuer(t)
	host, pin := a.secured(t, "shop.internal")
	other := base64.StdEncoding.EncodeToString(make([]byte, sha256.Size))
	v := &secretVolume{dir: t.TempDir()}
	v.swap(t, a.client(t, "app", time.Time{}))
	for _, row := range []struct{ san, pin, word string }{
		{"shop.internal", pin, ""},
		{"other.internal", pin, "tls_verify_failed"},
		{"shop.internal", other, "tls_verify_failed"},
	} {
		address := kittest.FreeAddress(t)
		configured(t, fmt.Sprintf(`
listeners: [{address: %q, to: shop}]
upstreams:
  shop: {url: "https://%[2]s", tls: {ca: %[3]s/ca.crt, cert: %[3]s/tls.crt, key: %[3]s/tls.key, san: %[4]s, pins: [%[5]q]}}
`, address, host, v.dir, row.san, row.pin))
		for _, h2 := range []bool{false, true} {
			if response, body := do(t, client(t, h2), "GET", "http://"+address, ""); response.Header.Get("X-Ambassador-Error") != row.word {
				t.Errorf("san %s, pin %s, h2 %v: %d %s", row.san, row.pin, h2, response.StatusCode, body)
			}
		}
	}
}

func TestTCP_IsEncryptedTowardsATLSUpstreamWithItsCertificate(t *testing.T) {
	a := newIssuer(t)
	host, pin := a.secured(t, "db.internal")
	v := &secretVolume{dir: t.TempDir()}
	v.swap(t, a.client(t, "app", time.Time{}))
	address := kittest.FreeAddress(t)
	configured(t, fmt.Sprintf(`
listeners: [{address: %q, to: db}]
upstreams:
  db: {url: "tls://%[2]s", tls: {ca: %[3]s/ca.crt, cert: %[3]s/tls.crt, key: %[3]s/tls.key, san: db.internal, pins: [%[4]q]}}
`, address, host, v.dir, pin))
	c := dialed(t, address)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n") // bytes like others
	got, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(got), "\r\n\r\napp") {
		t.Errorf("%q %v", got, err)
	}
}
