//go:build !full

package output

import (
	"crypto/tls"
	"fmt"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// newProducer refuses: the Kafka client would make the image 3.5 MB larger for all.
func newProducer(KafkaConfig, func(string) *tls.Config, *conf.Secrets) (producer, error) {
	return nil, missing("kafka")
}

// newGRPC refuses: HTTP/2 would make the image larger for all.
func newGRPC(*client) (exporter, error) { return nil, missing("OTLP over gRPC") }

func missing(what string) error {
	return fmt.Errorf("%s is not part of this program (use the image variant sidecar-logshipper:VERSION-full, or build with -tags full)", what)
}
