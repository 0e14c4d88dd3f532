package output

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

// syslogSink takes octet-counted messages from any number of connections.
type syslogSink struct {
	connections
	taken []string
}

func newSyslogSink(t *testing.T, l net.Listener) *syslogSink {
	s := &syslogSink{connections: connections{Listener: l}}
	s.accept(t, s.serve)
	return s
}

func (s *syslogSink) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		var n int
		if _, err := fmt.Fscanf(r, "%d ", &n); err != nil {
			return
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(r, message); err != nil {
			return
		}
		s.mu.Lock()
		s.taken = append(s.taken, string(message))
		s.mu.Unlock()
	}
}

// texts are the messages without their headers.
func (s *syslogSink) texts() (texts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.taken {
		_, text, _ := strings.Cut(m, "] ")
		texts = append(texts, text)
	}
	return texts
}

func TestSyslog_MessagesAreRFC5424(t *testing.T) {
	s := newSyslogSink(t, listen(t, "tcp"))
	open(t, Config{Syslog: &SyslogConfig{URL: "tcp://" + s.Addr().String(), Facility: 1}}).ship(`say "hi"`)
	kittest.Eventually(t, 5*time.Second, func() bool { return len(s.texts()) == 1 }, "the message")
	want := `<14>1 2026-11-24T09:26:40.999999Z web-1 logshipper - - [pod@32473 pod="web-1" namespace="shop"] say "hi"`
	if s.taken[0] != want {
		t.Errorf("\ngot  %s\nwant %s", s.taken[0], want)
	}
}

func TestSyslog_DeliversInOrderOverTCPAndTLSAndAfterALostConnection(t *testing.T) {
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	for network, l := range map[string]net.Listener{
		"tcp": listen(t, "tcp"),
		"tls": tls.NewListener(listen(t, "tcp"), &tls.Config{Certificates: certified.TLS.Certificates}),
	} {
		t.Run(network, func(t *testing.T) {
			s := newSyslogSink(t, l)
			c := SyslogConfig{URL: network + "://" + s.Addr().String()}
			if network == "tls" {
				c.TLS = tlsfile.Client{CA: authority(t, certified)}
			}
			out := open(t, Config{Syslog: &c})
			all := numbered(3000)
			out.ship(all[:1000]...)
			kittest.Eventually(t, 5*time.Second, func() bool { return len(s.texts()) == 1000 }, "the first batch")
			s.drop()
			out.ship(all[1000:2000]...)
			out.ship(all[2000:]...)
			kittest.Eventually(t, 5*time.Second, func() bool { return len(s.texts()) == len(all) }, "all messages")
			if !slices.Equal(s.texts(), all) {
				t.Error("not in order")
			}
		})
	}
}

func TestSyslog_IsNotAcknowledgedByAServerThatIsNotThere(t *testing.T) {
	out := open(t, Config{Syslog: &SyslogConfig{URL: "tcp://" + kittest.FreeAddress(t)}})
	if retry, ok := errors.AsType[*Retryable](out.send(t.Context(), numbered(1))); !ok || retry.Reason != "network" {
		t.Errorf("%v", retry)
	}
}

func TestSyslog_OverUDPEachMessageIsADatagramAndTooLongOnesAreRefused(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	out := open(t, Config{Syslog: &SyslogConfig{URL: "udp://" + conn.LocalAddr().String()}})
	out.ship("one", strings.Repeat("x", 70<<10), "three")
	if len(out.dead) != 1 {
		t.Errorf("%d dead letters", len(out.dead))
	}
	buffer := make([]byte, 1<<16)
	for _, want := range []string{"one", "three"} {
		n, _, err := conn.ReadFrom(buffer)
		if err != nil || !strings.HasSuffix(string(buffer[:n]), "] "+want) {
			t.Errorf("%v %q", err, buffer[:n])
		}
	}
}
