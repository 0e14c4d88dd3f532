package main

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/pod-helpers/pod-helpers/internal/kit"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/discover"
)

// nameServer answers A queries for what it knows, that there is no such name for what it does not, and with a failure for
// what it is told to fail.
type nameServer struct {
	address string

	mu     sync.Mutex
	names  map[string][]string
	failed map[string]bool
	ttl    uint32
}

func newNameServer(t *testing.T, ttl uint32) *nameServer {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s := &nameServer{address: c.LocalAddr().String(), names: map[string][]string{}, failed: map[string]bool{}, ttl: ttl}
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if answer, err := s.answer(b[:n]); err == nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
	return s
}

func (s *nameServer) set(name string, ips ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name], s.failed[name] = ips, false
}

func (s *nameServer) fail(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed[name] = true
}

func (s *nameServer) answer(query []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	m.Response, m.Additionals = true, nil
	q := m.Questions[0]
	name := strings.TrimSuffix(q.Name.String(), ".")
	switch ips := s.names[name]; {
	case s.failed[name]:
		m.RCode = dnsmessage.RCodeServerFailure
	case ips == nil:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		for _, ip := range ips {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: s.ttl},
				Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(ip).To4())}})
		}
	}
	return m.Pack()
}

// inProcess runs the whole pipeline within the test, which may ask a name server of its own.
func inProcess(t *testing.T, dns *nameServer, url string) (address string, s *service) {
	t.Helper()
	address = kittest.FreeAddress(t)
	c := config.Default()
	c.Listeners = []config.Listener{{Address: address, To: "up"}}
	c.Upstreams = map[string]*config.Upstream{"up": {URL: url}}
	c.Complete()
	s, err := serve(&c, kit.Env{Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Secrets: &conf.Secrets{}}, &discover.DNS{Server: dns.address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return address, s
}

// onLoopbacks are backends at one port of several loopback addresses, each of which answers its own.
func onLoopbacks(t *testing.T, ips ...string) (port string) {
	t.Helper()
	for i, ip := range ips {
		var l net.Listener
		var err error
		if i == 0 {
			l, err = net.Listen("tcp", ip+":0")
		} else {
			l, err = net.Listen("tcp", net.JoinHostPort(ip, port))
		}
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ = net.SplitHostPort(l.Addr().String())
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				w.WriteHeader(200)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				return
			}
			_, _ = io.WriteString(w, ip)
		})}
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { s.Close() })
	}
	return port
}

// answers are the addresses that answer within some requests.
func answers(t *testing.T, c *http.Client, address string) string {
	t.Helper()
	seen := map[string]bool{}
	for range 20 {
		response, body := do(t, c, "GET", "http://"+address+"/", "")
		if response.StatusCode != 200 {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
		seen[body] = true
	}
	all := ""
	for _, ip := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		if seen[ip] {
			all += ip + " "
		}
	}
	return strings.TrimSpace(all)
}

func TestDNS_AChangeIsFollowedWithinTheTTLAndAFailureKeepsTheLastAnswer(t *testing.T) {
	port := onLoopbacks(t, "127.0.0.2", "127.0.0.3", "127.0.0.4")
	dns := newNameServer(t, 1)
	dns.set("shop.test", "127.0.0.2", "127.0.0.3")
	address, s := inProcess(t, dns, "http://shop.test:"+port+"?balance=round_robin")
	c := client(t, false)
	if got := answers(t, c, address); got != "127.0.0.2 127.0.0.3" {
		t.Fatalf("%s answer", got)
	}
	dns.set("shop.test", "127.0.0.4")
	kittest.Eventually(t, 5*time.Second, func() bool { return answers(t, c, address) == "127.0.0.4" }, "the new address alone")
	dns.fail("shop.test")
	before := s.all()[0].Stats().DNSBad.Load()
	kittest.Eventually(t, 20*time.Second, func() bool { return s.all()[0].Stats().DNSBad.Load() > before+1 }, "failed lookups")
	if got := answers(t, c, address); got != "127.0.0.4" {
		t.Errorf("while names fail, %q answer", got)
	}
}

func TestDNS_OneOfSeveralNamesThatFailsLeavesTheOthersInUse(t *testing.T) {
	port := onLoopbacks(t, "127.0.0.2", "127.0.0.3")
	dns := newNameServer(t, 1)
	dns.set("a.test", "127.0.0.2")
	dns.fail("b.test")
	address, s := inProcess(t, dns, "http://a.test:"+port+",b.test:"+port+",none.test:"+port+"?balance=round_robin")
	c := client(t, false)
	if got := answers(t, c, address); got != "127.0.0.2" {
		t.Errorf("with the second name failing, %q answer", got)
	}
	if s.all()[0].Facts(time.Now()).DNSError == nil {
		t.Error("the failure is not told")
	}
	dns.set("b.test", "127.0.0.3")
	kittest.Eventually(t, 10*time.Second, func() bool { return answers(t, c, address) == "127.0.0.2 127.0.0.3" }, "both")
	dns.set("a.test", "127.0.0.3")
	dns.fail("b.test")
	kittest.Eventually(t, 10*time.Second, func() bool { return answers(t, c, address) == "127.0.0.3" }, "the change of the first while the second fails")
}

func TestDNS_AFailedConnectionAsksAgainLongBeforeTheTTL(t *testing.T) {
	port := onLoopbacks(t, "127.0.0.3")
	dns := newNameServer(t, 60)
	dns.set("shop.test", "127.0.0.2") // nobody listens there
	address, _ := inProcess(t, dns, "http://shop.test:"+port)
	c := client(t, false)
	if response, _ := do(t, c, "GET", "http://"+address+"/", ""); response.StatusCode != 502 {
		t.Fatal(response.Status)
	}
	dns.set("shop.test", "127.0.0.3")
	kittest.Eventually(t, 10*time.Second, func() bool {
		response, _ := do(t, c, "GET", "http://"+address+"/", "")
		return response.StatusCode == 200
	}, "the new address")
}

func TestDNS_AVanishedEndpointFinishesWhatItHasBegun(t *testing.T) {
	port := onLoopbacks(t, "127.0.0.2", "127.0.0.3")
	for _, h2 := range []bool{false, true} {
		dns := newNameServer(t, 1)
		dns.set("shop.test", "127.0.0.2")
		address, s := inProcess(t, dns, "http://shop.test:"+port)
		c := client(t, h2)
		slow, err := c.Get("http://" + address + "/slow")
		if err != nil {
			t.Fatal(err)
		}
		vanishing := s.all()[0].Endpoints()[0]
		dns.set("shop.test", "127.0.0.3")
		kittest.Eventually(t, 10*time.Second, func() bool { return answers(t, c, address) == "127.0.0.3" }, "the new address")
		if n := vanishing.Connections(); n != 1 {
			t.Errorf("h2 %v: %d connections to the vanished endpoint while it answers", h2, n)
		}
		gone := make(chan error, 1)
		go func() { _, err := slow.Body.Read(make([]byte, 1)); gone <- err }()
		select {
		case err := <-gone:
			t.Errorf("h2 %v: the answer under way was cut: %v", h2, err)
		default:
		}
		slow.Body.Close()
		<-gone
		kittest.Eventually(t, 5*time.Second, func() bool { return vanishing.Connections() == 0 }, "its last connection to end")
	}
}

func TestStart_ListensBeforeAnyNameIsResolvedAndHoldsWhatComes(t *testing.T) {
	port := onLoopbacks(t, "127.0.0.2")
	dns := newNameServer(t, 1)
	dns.set("shop.test", "127.0.0.2")
	dns.mu.Lock() // it answers nobody
	address, s := inProcess(t, dns, "http://shop.test:"+port)
	c := dialed(t, address)
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Error(err)
	}
	if s.all()[0].Facts(time.Now()).Known {
		t.Error("the name is known")
	}
	dns.mu.Unlock()
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || response.StatusCode != 200 {
		t.Errorf("%v %v", response, err)
	}
}
