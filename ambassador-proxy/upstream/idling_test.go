package upstream

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
)

// pooled is a connection that a pool has taken charge of; the other end of it goes nowhere.
func pooled(t *testing.T, p *Pool, now time.Time) *layer7.Conn {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	c := layer7.NewConn(ours)
	p.Add(c, now)
	return c
}

func TestIdleConnection_IsKeptForLessThanTheUpstreamKeepsIt(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, row := range []struct {
		name      string
		announced time.Duration
		died      bool
		keep      time.Duration
	}{
		{"nothing is known", 0, false, 30 * time.Second},
		{"Keep-Alive: timeout=5", 5 * time.Second, false, 4 * time.Second},
		{"Keep-Alive: timeout=1", time.Second, false, 0},
		{"a reused one died early", 0, true, 4 * time.Second},
		{"a reused one died early, and Keep-Alive: timeout=60", time.Minute, true, 59 * time.Second},
	} {
		p := NewPool()
		if row.died {
			p.Died()
		}
		for _, late := range []time.Duration{-time.Millisecond, time.Millisecond} {
			p.Put(pooled(t, p, now), true, row.announced, now)
			if got := p.Get(now.Add(row.keep+late)) != nil; got != (late < 0 && row.keep > 0) {
				t.Errorf("%s: used again after %s: %v", row.name, row.keep+late, got)
			}
		}
		p.Close()
	}
}

func TestConnection_EndsAtTheAgeOfTenMinutesGiveOrTakeATenth(t *testing.T) {
	now := time.Unix(1000, 0)
	ages := map[time.Duration]bool{}
	for range 100 {
		age := oldAt(now).Sub(now)
		ages[age] = true
		if age < 9*time.Minute || age > 11*time.Minute {
			t.Errorf("%s", age)
		}
	}
	if len(ages) < 50 {
		t.Error("all at once")
	}
	p := NewPool()
	c := pooled(t, p, now)
	p.Put(c, true, 0, now.Add(12*time.Minute))
	if p.Open() != 0 {
		t.Error("an old connection was kept")
	}
}

func TestAnnounced_ReadsTheTimeoutOfKeepAlive(t *testing.T) {
	for field, want := range map[string]time.Duration{
		"": 0, "timeout=5": 5 * time.Second, "max=100, Timeout=7": 7 * time.Second, `timeout="9", max=1`: 9 * time.Second, "timeout=x": 0, "timeout=-1": 0, "max=3": 0,
	} {
		if got := announced(field); got != want {
			t.Errorf("%q: %s, want %s", field, got, want)
		}
	}
}

// The other side takes every byte and says nothing: only a ping finds out.
func TestHTTP2_ADeadConnectionIsFoundByAPingWithin15Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() {
			_, _ = theirs.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // an empty SETTINGS
			for b := make([]byte, 4096); ; {
				if _, err := theirs.Read(b); err != nil {
					return
				}
			}
		}()
		target, err := config.ParseTarget("h2c://shop:80")
		if err != nil {
			t.Fatal(err)
		}
		u := &Upstream{target: target, dial: &dialer{timeout: time.Second, rival: func(string) string { return "" }}}
		c := newClients(u, &idling{keep: defaultKeepAlive}, "shop:80", "shop")
		c.dial = func(context.Context) (net.Conn, error) { return ours, nil }
		begin := time.Now()
		r, _ := http.NewRequest("GET", "http://shop/", nil)
		_, _, err = c.roundTrip(r, false)
		if took := time.Since(begin); err == nil || took > 16*time.Second || took < 10*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		c.kill()
		theirs.Close()
		ours.Close()
	})
}

func TestDial_SetsTheTimeoutForBytesThatNobodyAcknowledges(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u := started(t, config.Upstream{URL: "http://" + l.Addr().String()}, health.NewRegistry())
	c, err := u.Endpoints()[0].Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		if ms, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err != nil || ms != 20000 {
			t.Errorf("TCP_USER_TIMEOUT is %d ms, %v", ms, err)
		}
	})
}

func TestHealth_SurvivesADNSRefreshThatLosesAnEndpointForAWhile(t *testing.T) {
	u := started(t, config.Upstream{URL: fourHosts}, health.NewRegistry())
	all := u.Endpoints()
	fail(all[0])
	u.update(nil)
	if s := u.newEndpoint(all[0].addr).State(); s != health.Ejected {
		t.Errorf("after its return: %s", s)
	}
}
