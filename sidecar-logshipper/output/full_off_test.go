//go:build !full

package output

import (
	"strings"
	"testing"
)

func TestFull_AProgramWithoutItNamesTheImageThatHasIt(t *testing.T) {
	for _, to := range []string{"kafka://broker:9092/logs", "otlp+grpc://otel:4317", "otlp+grpcs://otel:4317"} {
		c, err := FromURL(to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(c, testEnv()); err == nil || !strings.Contains(err.Error(), "sidecar-logshipper:VERSION-full") {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// fullRows are the rows that only the program with everything has.
func fullRows() []httpRow { return nil }
