package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestUpstream_FailsEveryTenthRequestInTurnByResetAndBy503(t *testing.T) {
	authority, err := NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, _, err := authority.Issue("upstream", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.CA)
	for _, h2 := range []bool{false, true} {
		b := &backend{failEvery: 10}
		server := httptest.NewUnstartedServer(b)
		server.EnableHTTP2 = h2
		server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		server.StartTLS()
		// without keep-alive the client does not retry a reset by itself
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: h2, DisableKeepAlives: !h2}}
		var refused, reset int64
		for range 40 {
			response, err := client.Get(server.URL)
			if err != nil {
				reset++
				continue
			}
			if response.StatusCode == http.StatusServiceUnavailable {
				refused++
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		if refused != 2 || reset != 2 || b.refused.Load() != 2 || b.reset.Load() != 2 {
			t.Errorf("HTTP/2 %v: %d refused, %d reset; the backend counts %d and %d", h2, refused, reset, b.refused.Load(), b.reset.Load())
		}
		server.Close()
	}
}
