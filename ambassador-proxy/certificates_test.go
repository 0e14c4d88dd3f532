package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// secured is a TLS server for name that asks for certificates of the authority and answers whose it was shown.
func secured(t *testing.T, a *kittest.Authority, name string) (host string, pin string) {
	pair := a.Issue("server", name)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	sum := sha256.Sum256(pair.Leaf.RawSubjectPublicKeyInfo)
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

// shown are the files of a client's certificate, which is good until then; zero: for an hour.
func shown(t *testing.T, a *kittest.Authority, name string, until time.Time) map[string][]byte {
	t.Helper()
	a.Issue("client", name, func(c *x509.Certificate) { c.NotAfter = until })
	files := map[string][]byte{}
	for name, file := range map[string]string{"tls.crt": "client.crt", "tls.key": "client.key", "ca.crt": "ca.pem"} {
		data, err := os.ReadFile(a.File(file))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	return files
}

func TestCertificates_RotateBySymlinkSwapForNewHandshakesWhileOldConnectionsLive(t *testing.T) {
	a := kittest.NewAuthority(t)
	host, pin := secured(t, a, "shop.internal")
	v := &secretVolume{dir: t.TempDir()}
	expires := time.Now().Add(30 * time.Minute).Truncate(time.Second)
	v.swap(t, shown(t, a, "first", time.Time{}))
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
	v.swap(t, shown(t, a, "second", expires))
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
	broken := shown(t, a, "third", time.Time{})
	broken["tls.crt"] = []byte("-----BEGIN CERTIFICATE-----\nhalf of it")
	v.swap(t, broken)
	kittest.Eventually(t, 20*time.Second, func() bool { return strings.Contains(p.Stderr.String(), "new TLS files are broken") }, "word of the broken certificate")
	if got := seen(fresh, false); got != "second" {
		t.Errorf("after a broken certificate the server saw %q", got)
	}
	v.swap(t, shown(t, a, "fourth", time.Time{}))
	kittest.Eventually(t, 20*time.Second, func() bool { return seen(fresh, false) == "fourth" }, "the repaired certificate")
}

func TestCertificates_APinOrANameThatDoesNotFitIsRefused(t *testing.T) {
	a := kittest.NewAuthority(t)
	host, pin := secured(t, a, "shop.internal")
	other := base64.StdEncoding.EncodeToString(make([]byte, sha256.Size))
	v := &secretVolume{dir: t.TempDir()}
	v.swap(t, shown(t, a, "app", time.Time{}))
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
	a := kittest.NewAuthority(t)
	host, pin := secured(t, a, "db.internal")
	v := &secretVolume{dir: t.TempDir()}
	v.swap(t, shown(t, a, "app", time.Time{}))
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
