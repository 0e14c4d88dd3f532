//go:build full

package output

import "testing"

func TestReal_TheCollectorHasEveryRecordByOTLPOverGRPC(t *testing.T) {
	for _, compression := range []string{"none", "gzip", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			address, _, messages := collected(t)
			open(t, otlpOf(HTTPConfig{URL: "grpc://" + address, Compression: compression})).reaches(t, messages)
		})
	}
}
