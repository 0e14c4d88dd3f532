package main

import (
	"bytes"
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
	"time"
)

// backend is what all peers talk to: an nginx for HTTP and HTTPS, an own server for TCP.
type backend struct {
	http, https, tcp string // addresses
	ca               string // path of the certificate, which signs itself
	processes        []*process
}

func startBackend(dir string) (*backend, error) {
	b := &backend{http: freeAddress(), https: freeAddress(), tcp: freeAddress(), ca: filepath.Join(dir, "ca.pem")}
	key := filepath.Join(dir, "key.pem")
	if err := writeCertificate(b.ca, key); err != nil {
		return nil, err
	}
	for name, size := range map[string]int{"small": 128, "medium": 16 << 10, "large": 1 << 20, "chunked": 16 << 10} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte{'x'}, size), 0o644); err != nil {
			return nil, err
		}
	}
	conf := filepath.Join(dir, "backend.conf")
	text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/backend.pid; error_log %[1]s/backend.log;
events { worker_connections 19000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; sendfile on; tcp_nodelay on; client_body_temp_path %[1]s/b;
server { listen %[2]s backlog=4096; listen %[3]s ssl; ssl_certificate %[4]s; ssl_certificate_key %[5]s;
  root %[1]s; open_file_cache max=100;
  location = /chunked { ssi on; ssi_types *; }
  location = /post { return 200 ok; } } }
`, dir, b.http, b.https, b.ca, key)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for addr, args := range map[string][]string{b.http: {"nginx", "-c", conf}, b.tcp: {self, "tcpserver", b.tcp}} {
		p, err := start(loadCore, args...)
		if err != nil {
			return nil, err
		}
		b.processes = append(b.processes, p)
		if err := p.waitFor(addr); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *backend) stop() {
	for _, p := range b.processes {
		p.stop()
	}
}

// writeCertificate makes a certificate for localhost that signs itself.
func writeCertificate(cert, key string) error {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &k.PublicKey, k)
	if err != nil {
		return err
	}
	if err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return err
	}
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return err
	}
	return os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}), 0o600)
}
