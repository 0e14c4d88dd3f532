package output

import (
	"bytes"
	"crypto/tls"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

// destination is where one output of the suite goes, whatever its protocol.
type destination struct {
	config   Config
	messages func() []string
	drop     func()                      // ends all connections
	last     func() *tls.ConnectionState // of the connection that was used last
	stdout   *bytes.Buffer
}

// row is one output in the claims that hold for all of them. Server and client are nil and zero without TLS.
type row struct {
	name  string
	local bool // there is no connection
	start func(t *testing.T, server *tls.Config, client tlsfile.Client) *destination
}

func rows() []row {
	all := []row{{"stdout", true, startStdout}, {"file", true, startFile}, {"syslog", false, startSyslog}, {"fluent", false, startFluent}}
	for _, h := range httpRows() {
		all = append(all, row{h.name, false, h.start})
	}
	return all
}

func (h httpRow) start(t *testing.T, server *tls.Config, client tlsfile.Client) *destination {
	s := newSink(t, h.read, h.refuse, h.http2, func(s *httptest.Server) {
		if server == nil {
			s.Start()
			return
		}
		s.TLS = server
		s.StartTLS()
	})
	last := func() *tls.ConnectionState {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.requests[len(s.requests)-1].TLS
	}
	return &destination{config: h.config(HTTPConfig{URL: s.URL, TLS: client}), messages: s.messages, drop: s.CloseClientConnections, last: last}
}

func startStdout(*testing.T, *tls.Config, tlsfile.Client) *destination {
	var b bytes.Buffer
	return &destination{config: Config{Stdout: &StdoutConfig{}}, stdout: &b, messages: func() []string { return splitLines(b.String()) }}
}

func startFile(t *testing.T, _ *tls.Config, _ tlsfile.Client) *destination {
	path := filepath.Join(t.TempDir(), "out")
	return &destination{config: Config{File: &FileConfig{Path: path, Format: "lines"}}, messages: func() []string {
		text, _ := os.ReadFile(path)
		return splitLines(string(text))
	}}
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func startSyslog(t *testing.T, server *tls.Config, client tlsfile.Client) *destination {
	url, l, last := listenFor(t, server)
	s := newSyslogSink(t, l)
	return &destination{config: Config{Syslog: &SyslogConfig{URL: url, TLS: client}}, messages: s.texts, drop: s.drop, last: last}
}

func (d *destination) open(t *testing.T) *shipper {
	t.Helper()
	env := testEnv()
	env.Stdout = d.stdout
	o, err := New(d.config, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return &shipper{t: t, out: o}
}

// has waits for want: a destination without acknowledgements may still be reading.
func (d *destination) has(t *testing.T, want []string) {
	t.Helper()
	kittest.Eventually(t, 5*time.Second, func() bool { return len(d.messages()) >= len(want) }, "all messages")
	if got := d.messages(); !slices.Equal(got, want) {
		t.Errorf("the destination has %d messages, want %d: %.300q", len(got), len(want), got)
	}
}

func TestEveryOutput_DeliversWhatItAcknowledgedInOrder(t *testing.T) {
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			d := r.start(t, nil, tlsfile.Client{})
			out, all := d.open(t), numbered(2000)
			for part := range slices.Chunk(all, 500) {
				out.ship(part...)
			}
			d.has(t, all)
		})
	}
}

func TestEveryOutput_GoesOnAfterALostConnection(t *testing.T) {
	for _, r := range rows() {
		if r.local {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			d := r.start(t, nil, tlsfile.Client{})
			out, all := d.open(t), numbered(200)
			out.ship(all[:100]...)
			d.has(t, all[:100])
			d.drop()
			out.ship(all[100:]...)
			d.has(t, all)
		})
	}
}

func TestEveryOutput_ShowsTheClientCertificateThatRotatedWhileSending(t *testing.T) {
	for _, r := range rows() {
		if r.local {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			t.Parallel() // each waits for the watch on its files
			a := kittest.NewAuthority(t)
			server := a.Issue("server", "server")
			first := a.Issue("client", "first")
			files := tlsfile.Client{CA: a.File("ca.pem"), Cert: a.File("client.crt"), Key: a.File("client.key")}
			d := r.start(t, &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: a.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}, files)
			out := d.open(t)
			out.ship("before")
			d.has(t, []string{"before"})
			if got := d.last().PeerCertificates[0]; !got.Equal(first.Leaf) {
				t.Fatalf("shown %s", got.Subject)
			}
			second := a.Issue("client", "second")
			sent := []string{"before"}
			kittest.Eventually(t, 10*time.Second, func() bool {
				d.drop()
				out.ship("after")
				sent = append(sent, "after")
				d.has(t, sent)
				return d.last().PeerCertificates[0].Equal(second.Leaf)
			}, "the new certificate to be shown")
		})
	}
}

func TestEveryOutput_IsNotAcknowledgedByAServerThatMissesTheClientCertificate(t *testing.T) {
	for _, r := range rows() {
		if r.local {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			a := kittest.NewAuthority(t)
			server := a.Issue("server", "server")
			d := r.start(t, &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: a.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}, tlsfile.Client{CA: a.File("ca.pem")})
			if err := d.open(t).send(t.Context(), []string{"secret"}); err == nil || len(d.messages()) > 0 {
				t.Errorf("acknowledged by a server that refused the handshake: %v", err)
			}
		})
	}
}
