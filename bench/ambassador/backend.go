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

// kind is what a listener of a peer leads to.
type kind string

const (
	plain   kind = "plain"   // HTTP/1.1 to HTTP/1.1
	secure  kind = "secure"  // HTTP/1.1 to HTTPS
	full    kind = "full"    // to HTTPS that closes after each answer and resumes no session
	resumed kind = "resumed" // to HTTPS that closes after each answer and resumes sessions
	h2c     kind = "h2c"     // HTTP/2 to HTTP/1.1
	grpc    kind = "grpc"    // HTTP/2 to HTTP/2
	tcp     kind = "tcp"
)

// backend is what all peers talk to: an nginx for HTTP and HTTPS, own servers for gRPC and TCP.
type backend struct {
	addr      map[kind]string
	ca        string // path of the certificate, which signs itself
	processes []*process
}

const backendConf = `daemon off; master_process off; pid %[1]s/backend.pid; error_log %[1]s/backend.log;
events { worker_connections 19000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; sendfile on; tcp_nodelay on; client_body_temp_path %[1]s/b;
ssl_certificate %[2]s; ssl_certificate_key %[3]s; ssl_ecdh_curve X25519; root %[1]s; open_file_cache max=100;
server { listen %[4]s backlog=4096; listen %[5]s ssl;
  location = /chunked { ssi on; ssi_types *; }
  location = /post { return 200 ok; } }
server { listen %[6]s ssl backlog=4096; keepalive_timeout 0; ssl_session_tickets off; ssl_session_cache off; }
server { listen %[7]s ssl backlog=4096; keepalive_timeout 0; ssl_session_cache shared:s:1m; } }
`

func startBackend(dir string) (*backend, error) {
	b := &backend{addr: map[kind]string{}, ca: filepath.Join(dir, "ca.pem")}
	for _, k := range []kind{plain, secure, full, resumed, grpc, tcp} {
		b.addr[k] = freeAddress()
	}
	b.addr[h2c] = b.addr[plain]
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
	text := fmt.Sprintf(backendConf, dir, b.ca, key, b.addr[plain], b.addr[secure], b.addr[full], b.addr[resumed])
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for addr, args := range map[string][]string{
		b.addr[plain]: {"nginx", "-c", conf},
		b.addr[grpc]:  {self, "grpcserver", b.addr[grpc]},
		b.addr[tcp]:   {self, "tcpserver", b.addr[tcp]},
	} {
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
