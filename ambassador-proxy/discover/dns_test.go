package discover

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
)

// dnsServer answers A queries with what it was told; nothing and an error code when it was told nothing.
type dnsServer struct {
	mu  sync.Mutex
	ips []string
	ttl uint32
}

func (s *dnsServer) set(ttl uint32, ips ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ips, s.ttl = ips, ttl
}

func (s *dnsServer) start(t *testing.T) string {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if answer, err := s.answer(b[:n]); err == nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func (s *dnsServer) answer(query []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	m.Response, m.Additionals = true, nil
	if len(s.ips) == 0 {
		m.RCode = dnsmessage.RCodeServerFailure
	}
	q := m.Questions[0]
	for _, ip := range s.ips {
		if q.Type != dnsmessage.TypeA {
			continue
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: s.ttl},
			Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(ip).To4())}})
	}
	return m.Pack()
}

func TestDNS_AnswersAreFollowedWithinTheTTLAndTheLastGoodOneIsKept(t *testing.T) {
	s := &dnsServer{}
	s.set(1, "10.0.0.1", "10.0.0.2")
	target, err := config.ParseTarget("http://shop.test:8080")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var have []Address
	failed := 0
	w := New(target, &DNS{Server: s.start(t)}, slog.New(slog.DiscardHandler),
		func(a []Address) { mu.Lock(); have = a; mu.Unlock() },
		func(ok bool) {
			mu.Lock()
			if !ok {
				failed++
			}
			mu.Unlock()
		})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	defer running.Wait()
	defer cancel()
	is := func(want ...string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			var got []string
			for _, a := range have {
				got = append(got, a.Addr)
			}
			return slices.Equal(got, want)
		}
	}
	kittest.Eventually(t, 5*time.Second, is("10.0.0.1:8080", "10.0.0.2:8080"), "the first answer")
	s.set(1, "10.0.0.3")
	kittest.Eventually(t, 3*time.Second, is("10.0.0.3:8080"), "the changed answer")
	s.set(1)
	kittest.Eventually(t, 15*time.Second, func() bool { mu.Lock(); defer mu.Unlock(); return failed > 0 }, "a failure")
	if !is("10.0.0.3:8080")() {
		t.Errorf("after a failure: %v", have)
	}
}

func TestDNS_TellsTheLowestTTL(t *testing.T) {
	s := &dnsServer{}
	s.set(8, "10.0.0.1")
	a, err := watching(t, "http://shop.test", &DNS{Server: s.start(t)}).Resolve(t.Context())
	if err != nil || a.TTL != 8*time.Second {
		t.Errorf("%+v, %v", a, err)
	}
}

// watching is a Watcher whose Resolve a test calls itself.
func watching(t *testing.T, url string, dns *DNS) *Watcher {
	t.Helper()
	target, err := config.ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	return New(target, dns, slog.New(slog.DiscardHandler), func([]Address) {}, func(bool) {})
}

// A large answer does not fit a datagram: the resolver asks again over TCP.
func TestDNS_FallsBackToTCPForATruncatedAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	datagrams, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	s := &dnsServer{}
	var ips []string
	for i := range 200 {
		ips = append(ips, fmt.Sprintf("10.0.1.%d", i))
	}
	s.set(3, ips...)
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := datagrams.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil {
				continue
			}
			m.Response, m.Truncated, m.Additionals = true, true, nil
			if answer, err := m.Pack(); err == nil {
				_, _ = datagrams.WriteTo(answer, from)
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var size [2]byte
				if _, err := io.ReadFull(c, size[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(c, query); err != nil {
					return
				}
				if answer, err := s.answer(query); err == nil {
					_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
				}
			}()
		}
	}()
	a, err := watching(t, "http://shop.test", &DNS{Server: l.Addr().String()}).Resolve(t.Context())
	if err != nil || len(a.Addresses) != 200 {
		t.Errorf("%d addresses, %v", len(a.Addresses), err)
	}
}
