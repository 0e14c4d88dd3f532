package backoff

import (
	"net/http"
	"testing"
	"time"
)

func TestBackoff_StaysInItsBoundsAndGrows(t *testing.T) {
	b := New(250*time.Millisecond, 30*time.Second)
	largest := time.Duration(0)
	for range 1000 {
		d := b.Next()
		if d < 250*time.Millisecond || d > 30*time.Second {
			t.Fatalf("delay %s", d)
		}
		largest = max(largest, d)
	}
	if largest < 20*time.Second {
		t.Errorf("never waited longer than %s", largest)
	}
	b.Reset()
	if d := b.Next(); d != 250*time.Millisecond {
		t.Errorf("first delay after a success %s", d)
	}
}

func TestRetryAfter_ReadsSecondsAndDates(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0,
		"Fri, 02 Jan 2026 03:04:35 GMT": 30 * time.Second,
		"Fri, 02 Jan 2026 03:00:00 GMT": 0,
		"-1":                            -1, "soon": -1, "": -1,
	} {
		d, ok := RetryAfter(http.Header{"Retry-After": {value}}, now)
		if ok != (want >= 0) || (ok && d != want) {
			t.Errorf("%q: %s %v, want %s", value, d, ok, want)
		}
	}
}
