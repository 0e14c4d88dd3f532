package discover

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// followed runs a Watcher of a file in a bubble of fake time and returns what it tells.
func followed(t *testing.T, path string) (w *Watcher, have func() []Address, failed func() int) {
	target, err := config.ParseTarget("file+http://" + path)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var last []Address
	bad := 0
	w = New(target, &DNS{}, slog.New(slog.DiscardHandler),
		func(a []Address) { mu.Lock(); last = a; mu.Unlock() },
		func(ok bool) {
			mu.Lock()
			defer mu.Unlock()
			if !ok {
				bad++
			}
		})
	go w.Run(t.Context())
	return w, func() []Address { mu.Lock(); defer mu.Unlock(); return slices.Clone(last) },
		func() int { mu.Lock(); defer mu.Unlock(); return bad }
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFile_IsFollowedAndAMistakeKeepsTheLastGoodList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints")
	synctest.Test(t, func(t *testing.T) {
		write(t, path, "10.0.0.1:80 3 # the big one\n\n10.0.0.2:80\n")
		_, have, failed := followed(t, path)
		synctest.Wait()
		want := []Address{{Addr: "10.0.0.1:80", Name: "10.0.0.1", Weight: 3}, {Addr: "10.0.0.2:80", Name: "10.0.0.2", Weight: 1}}
		if !slices.Equal(have(), want) {
			t.Fatalf("%+v", have())
		}
		for _, mistake := range []string{"10.0.0.1:80 many", "10.0.0.1:80 1 2", "10.0.0.1:", "10.0.0.1:0", ":80", "10.0.0.1"} {
			before := failed()
			write(t, path, mistake+"\n")
			time.Sleep(2 * time.Second)
			if !slices.Equal(have(), want) || failed() == before {
				t.Errorf("after %q: %+v, %d failures", mistake, have(), failed())
			}
		}
		write(t, path, "10.0.0.9:80\n")
		time.Sleep(2 * time.Second)
		if got := have(); len(got) != 1 || got[0].Addr != "10.0.0.9:80" {
			t.Errorf("after the repair: %+v", got)
		}
	})
}

func TestEmptyAnswer_IsHeldFor30SecondsBeforeItCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints")
	synctest.Test(t, func(t *testing.T) {
		write(t, path, "10.0.0.1:80\n")
		_, have, _ := followed(t, path)
		synctest.Wait()
		write(t, path, "")
		time.Sleep(29 * time.Second)
		if len(have()) != 1 {
			t.Error("believed too soon")
		}
		time.Sleep(4 * time.Second)
		if len(have()) != 0 {
			t.Error("never believed")
		}
	})
}

// srvServer answers SRV queries for two priorities and A queries for any name.
func srvServer(t *testing.T) string {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil {
				continue
			}
			m.Response, m.Additionals = true, nil
			q := m.Questions[0]
			head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 7}
			switch q.Type {
			case dnsmessage.TypeSRV:
				for _, r := range []dnsmessage.SRVResource{
					{Priority: 1, Weight: 30, Port: 7001, Target: dnsmessage.MustNewName("a.test.")},
					{Priority: 1, Weight: 10, Port: 7002, Target: dnsmessage.MustNewName("b.test.")},
					{Priority: 2, Weight: 10, Port: 7003, Target: dnsmessage.MustNewName("spare.test.")},
				} {
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &r})
				}
			case dnsmessage.TypeA:
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: [4]byte{10, 0, 0, q.Name.Data[0]}}})
			}
			if answer, err := m.Pack(); err == nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func TestSRV_GivesPortsAndWeightsOfTheBestPriority(t *testing.T) {
	answer, err := watching(t, "srv+http://_shop._tcp.test", &DNS{Server: srvServer(t)}).Resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(answer.Addresses, func(a, b Address) int { return b.Weight - a.Weight })
	want := []Address{{Addr: "10.0.0.97:7001", Name: "a.test", Weight: 30}, {Addr: "10.0.0.98:7002", Name: "b.test", Weight: 10}}
	if !slices.Equal(answer.Addresses, want) || answer.TTL != 7*time.Second {
		t.Errorf("%+v", answer)
	}
}

func TestTTL_IsClampedAndSpread(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{0: unknownTTL, time.Millisecond: time.Second, 3 * time.Second: 3 * time.Second, time.Hour: maxTTL} {
		seen := map[time.Duration]bool{}
		for range 100 {
			got := clamp(ttl)
			seen[got] = true
			if got < want-want/10 || got > want+want/10+time.Nanosecond {
				t.Errorf("TTL %s: asked again after %s", ttl, got)
			}
		}
		if len(seen) < 10 {
			t.Errorf("TTL %s: all helpers ask in step", ttl)
		}
	}
}

func TestMemory_ANameThatIsSaidNotToExistCountsAfter30SecondsAndAFailureNever(t *testing.T) {
	now := time.Unix(1000, 0)
	gone := &net.DNSError{Err: "no such host", IsNotFound: true}
	down := &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	var m memory[string]
	if got, err := m.recall([]string{"a"}, nil, now); len(got) != 1 || err != nil {
		t.Fatal(got, err)
	}
	for _, step := range []struct {
		after time.Duration
		err   error
		want  int
	}{{time.Hour, down, 1}, {2 * time.Hour, gone, 1}, {2*time.Hour + 29*time.Second, gone, 1}, {2*time.Hour + 29*time.Second, down, 1},
		{3 * time.Hour, gone, 1}, {3*time.Hour + 31*time.Second, gone, 0}} {
		if got, err := m.recall(nil, step.err, now.Add(step.after)); len(got) != step.want || err == nil {
			t.Errorf("after %s, %v: %v, %v", step.after, step.err, got, err)
		}
	}
}

func TestUsable_LeavesOutAddressesWithoutARouteUnlessThereIsNoOther(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	noSix := func(a netip.Addr) bool { return a.Is4() }
	if got := usable([]netip.Addr{six, four}, noSix); !slices.Equal(got, []netip.Addr{four}) {
		t.Errorf("both families: %v", got)
	}
	if got := usable([]netip.Addr{six}, noSix); !slices.Equal(got, []netip.Addr{six}) {
		t.Errorf("one family: %v", got)
	}
	if !hasRoute(netip.MustParseAddr("127.0.0.1")) {
		t.Error("there is no way to loopback")
	}
}

func TestFresh_ReturnsWhenTheLookupThatItAskedForIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "endpoints")
		write(t, path, "127.0.0.1:1\n")
		w, have, _ := followed(t, path)
		synctest.Wait()
		write(t, path, "127.0.0.1:2\n")
		w.Fresh(t.Context(), time.Minute)
		if got := have(); len(got) != 1 || got[0].Addr != "127.0.0.1:2" {
			t.Errorf("%v", got)
		}
		begin := time.Now()
		if w.Fresh(t.Context(), 100*time.Millisecond); time.Since(begin) != 100*time.Millisecond {
			t.Errorf("waited %s", time.Since(begin))
		}
	})
}
