//go:build !kafka

package output

import (
	"strings"
	"testing"
)

func TestKafka_AProgramWithoutItNamesTheImageThatHasIt(t *testing.T) {
	c, err := FromURL("kafka://broker:9092/logs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(c, testEnv()); err == nil || !strings.Contains(err.Error(), "sidecar-logshipper:VERSION-kafka") {
		t.Errorf("%v", err)
	}
}
