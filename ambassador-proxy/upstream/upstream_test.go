package upstream

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/discover"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func wait(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

var discard = slog.New(slog.DiscardHandler)

// started is an upstream whose endpoints are known; nothing listens there.
func started(t *testing.T, c config.Upstream, records *health.Registry) *Upstream {
	t.Helper()
	u, err := New("shop", c, Env{Log: discard, Secrets: &conf.Secrets{}, Health: records, DNS: &discover.DNS{}, StartupWait: wait(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	kittest.Eventually(t, 5*time.Second, func() bool { return len(u.Endpoints()) > 0 }, "endpoints")
	return u
}

func choose(t *testing.T, u *Upstream) *Endpoint {
	t.Helper()
	e, err := u.Choose(context.Background(), layer7.Pick{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// fail reports failures of one endpoint until it would be ejected.
func fail(e *Endpoint) {
	for range 5 {
		e.load.Begin()
		e.Report(layer7.Outcome{Reason: reason.UpstreamReset})
	}
}

const fourHosts = "http://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3,127.0.0.1:4"

func TestEjection_TakesOutAtMostHalf(t *testing.T) {
	u := started(t, config.Upstream{URL: fourHosts, Balance: "random"}, health.NewRegistry())
	for _, e := range u.Endpoints() {
		fail(e)
	}
	if f := u.Facts(time.Now()); f.States[health.Ejected] != 2 || f.Panic {
		t.Errorf("%+v", f.States)
	}
	used := map[string]bool{}
	for range 200 {
		e := choose(t, u)
		used[e.Address()] = true
		e.Report(layer7.Outcome{Reason: reason.ClientAborted})
	}
	if len(used) != 2 {
		t.Errorf("%d endpoints are used", len(used))
	}
}

func TestPanic_BelowHalfWellAllAreUsed(t *testing.T) {
	u := started(t, config.Upstream{URL: fourHosts, Balance: "random"}, health.NewRegistry())
	for _, e := range u.Endpoints()[:3] { // active checks know no bound
		for range 3 {
			e.record.Checked(false, 3, 2)
		}
	}
	u.rebuild()
	used := map[string]bool{}
	for range 400 {
		e := choose(t, u)
		used[e.Address()] = true
		e.Report(layer7.Outcome{Reason: reason.ClientAborted})
	}
	if !u.Facts(time.Now()).Panic || len(used) != 4 {
		t.Errorf("panic %v, %d of 4 endpoints are used", u.Facts(time.Now()).Panic, len(used))
	}
}

func TestHealth_SurvivesAReloadButNotAChangeOfTheURL(t *testing.T) {
	records := health.NewRegistry()
	first := started(t, config.Upstream{URL: fourHosts}, records)
	fail(first.Endpoints()[0])
	again := started(t, config.Upstream{URL: fourHosts, Balance: "random"}, records)
	if s := again.Endpoints()[0].State(); s != health.Ejected {
		t.Errorf("after a reload: %s", s)
	}
	other := started(t, config.Upstream{URL: fourHosts + "/"}, records)
	if s := other.Endpoints()[0].State(); s != health.Healthy {
		t.Errorf("with another URL: %s", s)
	}
}

func TestRetryBudget_OneFreeRetryOfAFailedConnectionOnlyWithAnotherEndpoint(t *testing.T) {
	for _, row := range []struct {
		url  string
		free bool
	}{{"http://127.0.0.1:1", false}, {"http://127.0.0.1:1,127.0.0.1:2", true}} {
		u := started(t, config.Upstream{URL: row.url}, health.NewRegistry())
		for { // what the floor allows
			if _, ok := u.Retry(reason.UpstreamReset, 1); !ok {
				break
			}
		}
		if _, ok := u.Retry(reason.ConnectRefused, 1); ok != row.free {
			t.Errorf("%s: %v", row.url, ok)
		}
	}
}

func TestNoEndpoint_IsSaidWhenTheWaitIsOver(t *testing.T) {
	c := config.Upstream{URL: "file+http:///nonexistent/endpoints"}
	u, err := New("shop", c, Env{Log: discard, Secrets: &conf.Secrets{}, Health: health.NewRegistry(), DNS: &discover.DNS{}, StartupWait: wait(50 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	_, err = u.Choose(t.Context(), layer7.Pick{})
	if e, ok := errors.AsType[*reason.Error](err); !ok || e.Reason != reason.DNSFailed && e.Reason != reason.NoEndpoint {
		t.Errorf("%v", err)
	}
}

// BenchmarkChoose guards the path of each request: no allocation.
func BenchmarkChoose(b *testing.B) {
	u, err := New("shop", config.Upstream{URL: fourHosts}, Env{Log: discard, Secrets: &conf.Secrets{}, Health: health.NewRegistry(), DNS: &discover.DNS{}, StartupWait: wait(time.Second)})
	if err != nil {
		b.Fatal(err)
	}
	defer u.Close()
	b.ReportAllocs()
	for b.Loop() {
		e, err := u.Choose(b.Context(), layer7.Pick{})
		if err != nil {
			b.Fatal(err)
		}
		e.load.End()
	}
}
