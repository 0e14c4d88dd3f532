package upstream

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// blackhole is an address of IPv6 at which connections are neither made nor refused: the backlog is full.
func blackhole(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skip("no IPv6:", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}); err != nil {
		t.Skip("no IPv6:", err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("::1", strconv.Itoa(name.(*unix.SockaddrInet6).Port))
	for {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return address
		}
		t.Cleanup(func() { c.Close() })
	}
}

func TestRace_ABlackholedFamilyHoldsNoRequestWhileTheOtherConnects(t *testing.T) {
	hole := blackhole(t)
	well := kittest.Serve(t, func(net.Conn) {})
	u := started(t, config.Upstream{URL: "tcp://" + hole + "," + well, ConnectTimeout: conf.Duration(time.Hour)}, health.NewRegistry())
	kittest.Eventually(t, 5*time.Second, func() bool { return len(u.Endpoints()) == 2 }, "both endpoints")
	for _, e := range u.Endpoints() {
		c, err := e.Dial(t.Context())
		if e.Address() == hole {
			if reason.OfDial(err) != reason.ConnectTimeout {
				t.Errorf("the blackhole: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

func TestRace_OneFamilyAloneHasTheWholeTimeout(t *testing.T) {
	hole := blackhole(t)
	u := started(t, config.Upstream{URL: "tcp://" + hole + "," + hole[:len("[::1]:")] + "1"}, health.NewRegistry())
	if other := u.rival(hole); other != "" {
		t.Errorf("raced by %s", other)
	}
}

func TestRefused_AnotherTryWaitsForTheAddressesOfAfterARestart(t *testing.T) {
	list := filepath.Join(t.TempDir(), "endpoints")
	write := func(text string) {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("127.0.0.1:1\n")
	u := started(t, config.Upstream{URL: "file+http://" + list}, health.NewRegistry())
	old := choose(t, u)
	tried := []layer7.Endpoint{old}
	if u.set.Load().refused(tried) {
		t.Error("it counts as refused before it was")
	}
	old.Report(layer7.Outcome{Reason: reason.ConnectRefused})
	if s := u.set.Load(); !s.refused(tried) || s.refused(nil) {
		t.Error("it does not count as refused")
	}
	write("127.0.0.1:2\n")
	kittest.Eventually(t, 10*time.Second, func() bool {
		e, err := u.Choose(t.Context(), layer7.Pick{Tried: tried})
		if err != nil {
			t.Fatal(err)
		}
		e.load.End()
		return e.Address() == "127.0.0.1:2"
	}, "the new address")
	if u.set.Load().refused(tried) {
		t.Error("another try still waits, although there is a new endpoint")
	}
}
