package tlsfile

import (
	"crypto/x509"
	"sync"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// EmbedRoots makes the embedded CA roots those of an image that has none; SSL_CERT_FILE still wins. A Source does so before
// it verifies; whoever verifies otherwise calls it. Only the first call does something: parsing the roots takes milliseconds
// and two megabytes, which a helper that talks to nobody by TLS does not spend.
func EmbedRoots() { embedRoots() }

var embedRoots = sync.OnceFunc(func() { // crypto/x509 keeps them for the process, and takes them once
	roots := x509.NewCertPool()
	for r := range bundle.Roots() {
		c, err := x509.ParseCertificate(r.Certificate)
		if err != nil {
			continue // the bundle is tested where it is made
		}
		if r.Constraint == nil {
			roots.AddCert(c)
		} else {
			roots.AddCertWithConstraint(c, r.Constraint)
		}
	}
	x509.SetFallbackRoots(roots)
})
