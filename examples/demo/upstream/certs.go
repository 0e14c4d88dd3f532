package upstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/examples/demo/flags"
)

// Authority is a certificate authority made for a demonstration: it exists in memory only and lives a week.
type Authority struct {
	CA   []byte // PEM
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(7 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{CA: block("CERTIFICATE", der), cert: cert, key: key}, nil
}

// Issue makes a certificate and its key, in PEM, for servers and clients by these names and addresses. The serial
// number, in hex, tells it from its predecessor.
func (a *Authority) Issue(names ...string) (cert, key []byte, serialHex string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, "", err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0]}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   a.cert.NotBefore, NotAfter: a.cert.NotAfter,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		return nil, nil, "", err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, "", err
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", pkcs8), template.SerialNumber.Text(16), nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail on the systems that we build for
	}
	return n
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Certs makes an authority and the backend's certificate, and prints them as a Secret and a ConfigMap, or writes them
// into a directory.
func Certs(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("demo certs", flag.ContinueOnError)
	dir := fs.String("dir", "", "write ca.pem, tls.crt and tls.key into this `directory`")
	names := fs.String("names", "upstream,localhost,127.0.0.1", "comma-separated `names` that the certificate is for")
	if err := flags.Parse(fs, args); err != nil {
		return err
	}
	authority, err := NewAuthority("pod-helpers demo")
	if err != nil {
		return err
	}
	cert, key, _, err := authority.Issue(strings.Split(*names, ",")...)
	if err != nil {
		return err
	}
	if *dir != "" {
		for name, data := range map[string][]byte{"ca.pem": authority.CA, "tls.crt": cert, "tls.key": key} {
			// readable for all: in the Pod made of plain containers everybody has an uid of his own
			if err := os.WriteFile(filepath.Join(*dir, name), data, 0o644); err != nil {
				return err
			}
		}
		return nil
	}
	_, err = fmt.Fprintf(stdout, manifests, indent(cert), indent(key), indent(authority.CA))
	return err
}

const manifests = `apiVersion: v1
kind: Secret
metadata:
  name: upstream-tls
type: kubernetes.io/tls
stringData:
  tls.crt: |
%s  tls.key: |
%s---
apiVersion: v1
kind: ConfigMap
metadata:
  name: upstream-ca
data:
  ca.pem: |
%s`

func indent(text []byte) string {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		b.WriteString("    " + line)
	}
	return b.String()
}
