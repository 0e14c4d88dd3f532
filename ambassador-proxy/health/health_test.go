package health

import (
	"testing"
	"time"
)

func TestEjection_AfterFiveFailuresInARowAndBackByOneProbe(t *testing.T) {
	now := time.Unix(1000, 0)
	r := NewRegistry().Of("api", "10.0.0.1:80")
	for i := range 4 {
		if why := r.Result(false, now); why != "" {
			t.Fatalf("ejected after %d failures: %s", i+1, why)
		}
	}
	if why := r.Result(false, now); why != "consecutive_failures" {
		t.Fatalf("not ejected: %q", why)
	}
	until := r.Eject("consecutive_failures", now)
	if r.Probe(until.Add(-time.Millisecond)) {
		t.Error("probed before its time")
	}
	if !r.Probe(until) || r.Probe(until) {
		t.Error("exactly one request is the probe")
	}
	if why := r.Result(false, until); why != "probe_failed" {
		t.Errorf("a failed probe: %q", why)
	}
	if again := r.Eject("probe_failed", until).Sub(until); again < 2*time.Second || again > 3*time.Second {
		t.Errorf("second ejection of %s, want 2 s with jitter", again)
	}
	later := until.Add(time.Minute)
	if !r.Probe(later) || r.Result(true, later) != "" {
		t.Fatal("no second probe")
	}
	if s, _ := r.State(); s != Healthy {
		t.Errorf("after a good probe: %s", s)
	}
}

func TestEjection_ByASuccessRateBelowFourFifths(t *testing.T) {
	now := time.Unix(1000, 0)
	r := &Record{}
	for i := range 9 {
		if why := r.Result(i%3 != 0, now); why != "" {
			t.Fatalf("ejected by %d requests", i+1)
		}
	}
	if why := r.Result(false, now); why != "success_rate" {
		t.Errorf("10 requests, 4 failures: %q", why)
	}
}

func TestEjection_DoublesToAMinuteWithJitter(t *testing.T) {
	now := time.Unix(1000, 0)
	r := &Record{}
	lengths := map[time.Duration]bool{}
	for i := range 10 {
		length := r.Eject("probe_failed", now).Sub(now)
		least := min(time.Second<<i, time.Minute)
		if length < least || length > least+least/2 {
			t.Errorf("ejection %d: %s, want %s and up to half more", i+1, length, least)
		}
		lengths[length-least] = true
	}
	if len(lengths) < 5 {
		t.Error("no jitter")
	}
}

func TestProbe_OfARequestThatSaysNothingIsGivenBack(t *testing.T) {
	now := time.Unix(1000, 0)
	r := &Record{}
	until := r.Eject("success_rate", now)
	if !r.Probe(until) || r.Probe(until) {
		t.Fatal("one request is the probe")
	}
	r.Unprobe()
	if !r.Probe(until) {
		t.Error("the endpoint is never asked again")
	}
}
