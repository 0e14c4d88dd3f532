package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// authority signs certificates into files of a directory.
type authority struct {
	t    *testing.T
	dir  string
	ca   string // file
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.key, a.cert = a.sign(template, nil, nil)
	a.ca = a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if parent == nil {
		parent, signer = template, key
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

// issue makes a certificate for a DNS name, for servers and clients.
func (a *authority) issue(name string) (cert, key string) {
	secret, c := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, a.cert, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".crt", "CERTIFICATE", c.Raw), a.write(name+".key", "PRIVATE KEY", der)
}

func (a *authority) write(name, kind string, der []byte) string {
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// redisTLSServers take only TLS, from clients with a certificate of the authority; theirs is for redis.example.
func redisTLSServers(t *testing.T, a *authority, n int) (addresses []string) {
	cert, key := a.issue("redis.example")
	for range n {
		address := kittest.FreeAddress(t)
		_, port, _ := net.SplitHostPort(address)
		process(t, address, "redis-server", "--port", "0", "--tls-port", port, "--save", "", "--appendonly", "no", "--bind", "127.0.0.1",
			"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", a.ca, "--tls-auth-clients", "yes")
		addresses = append(addresses, address)
	}
	return addresses
}

func TestRealRedis_TLSToTheShardsWithAuthorityClientCertificateAndName(t *testing.T) {
	a := newAuthority(t)
	servers := redisTLSServers(t, a, 3)
	cert, key := a.issue("app")
	url := "rediss://" + strings.Join(servers, ",")
	mine := "&cert=" + cert + "&key=" + key
	address, _, _ := proxied(t, url+"?ca="+a.ca+"&san=redis.example"+mine)
	p := dialPeer(t, address)
	set, get := []string{"MSET"}, []string{"MGET"}
	var want []string
	for i := range 60 {
		k := fmt.Sprintf("%d:of:user", i)
		set, get, want = append(set, k, "v"+k), append(get, k), append(want, "v"+k)
	}
	if got := p.redis(set...); got != "+OK" {
		t.Fatal(got)
	}
	if got := p.redis(get...); got != "["+strings.Join(want, " ")+"]" {
		t.Errorf("MGET: %s", got)
	}
	for i := range 2000 { // a pipeline, large and small ones
		p.send("SET", fmt.Sprintf("p%d", i), strings.Repeat("x", i))
	}
	for i := range 2000 {
		if got := p.answer(); got != "+OK" {
			t.Fatalf("answer %d: %s", i, got)
		}
	}
	big := strings.Repeat("y", 5<<20)
	if got := p.redis("SET", "big", big); got != "+OK" || p.redis("GET", "big") != big {
		t.Errorf("5 MiB through TLS: %.100s", got)
	}
	for _, row := range []struct{ name, options, want string }{
		{"an unknown authority", "?san=redis.example" + mine, "certificate not accepted"},
		{"another name", "?ca=" + a.ca + "&san=other.example" + mine, "certificate not accepted"},
		{"no client certificate", "?ca=" + a.ca + "&san=redis.example", "the shard ended TLS: certificate required"},
	} {
		address, _, _ := proxied(t, url+row.options)
		if got := dialPeer(t, address).redis("GET", "a"); !strings.HasPrefix(got, "-ERR shard 127.0.0.1:") || !strings.Contains(got, row.want) {
			t.Errorf("%s: %s", row.name, got)
		}
	}
}
