package tlsfile

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// server answers one handshake after the other and says who the client was.
func server(t *testing.T, a *kittest.Authority, name string) (address string, clients chan string) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{a.Issue(name, name)}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: a.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	clients = make(chan string, 1)
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if c.(*tls.Conn).Handshake() == nil {
				who := ""
				if peers := c.(*tls.Conn).ConnectionState().PeerCertificates; len(peers) > 0 {
					who = peers[0].Subject.CommonName
				}
				clients <- who
			}
			c.Close()
		}
	}()
	return l.Addr().String(), clients
}

func dial(t *testing.T, address string, config *tls.Config) error {
	t.Helper()
	raw, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	return tls.Client(raw, config).Handshake()
}

func TestConfig_VerifiesNameAuthorityAndPins(t *testing.T) {
	a, stranger := kittest.NewAuthority(t), kittest.NewAuthority(t)
	address, clients := server(t, a, "db")
	ca, other := a.File("ca.pem"), stranger.File("ca.pem")
	sum := sha256.Sum256(a.Cert.RawSubjectPublicKeyInfo)
	pin, wrong := base64.StdEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, row := range []struct {
		name   string
		client Client
		host   string
		ok     bool
	}{
		{"right name and authority", Client{CA: ca}, "db", true},
		{"wrong name", Client{CA: ca}, "other", false},
		{"wrong name but expected SAN", Client{CA: ca, SAN: "db"}, "10.0.0.7", true},
		{"right name but another SAN wanted", Client{CA: ca, SAN: "x"}, "db", false},
		{"unknown authority", Client{CA: other}, "db", false},
		{"system roots", Client{}, "db", false},
		{"pinned authority", Client{CA: ca, Pins: []string{wrong, pin}}, "db", true},
		{"wrong pin", Client{CA: ca, Pins: []string{wrong}}, "db", false},
		{"nothing verified", Client{InsecureSkipVerify: true}, "whatever", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := New(row.client)
			if err != nil {
				t.Fatal(err)
			}
			err = dial(t, address, s.Config(row.host))
			if (err == nil) != row.ok {
				t.Errorf("handshake: %v", err)
			}
			select {
			case <-clients:
			case <-time.After(time.Second):
				if row.ok {
					t.Error("the server saw no handshake")
				}
			}
		})
	}
}

func TestWatch_ShowsTheNewCertificateAndKeepsTheOldWhenTheNewIsBroken(t *testing.T) {
	a := kittest.NewAuthority(t)
	address, clients := server(t, a, "db")
	a.Issue("one", "one")
	files := t.TempDir()
	swap := func(version, cert string, broken bool) {
		dir := filepath.Join(files, version)
		_ = os.Mkdir(dir, 0o700)
		for _, kind := range []string{"crt", "key"} {
			data, _ := os.ReadFile(a.File(cert + "." + kind))
			if broken {
				data = data[:len(data)/2]
			}
			_ = os.WriteFile(filepath.Join(dir, "tls."+kind), data, 0o600)
		}
		_ = os.Symlink(version, filepath.Join(files, "..data_tmp"))
		_ = os.Rename(filepath.Join(files, "..data_tmp"), filepath.Join(files, "..data"))
	}
	swap("..1", "one", false)
	for _, kind := range []string{"crt", "key"} {
		_ = os.Symlink("..data/tls."+kind, filepath.Join(files, "tls."+kind))
	}
	s, err := New(Client{CA: a.File("ca.pem"), Cert: filepath.Join(files, "tls.crt"), Key: filepath.Join(files, "tls.key")})
	if err != nil {
		t.Fatal(err)
	}
	log, text := kittest.Logs(t)
	done := make(chan struct{})
	go func() { defer close(done); s.Watch(t.Context(), log) }()
	t.Cleanup(func() { <-done })

	config := s.Config("db")
	shown := func() string {
		if err := dial(t, address, config); err != nil {
			t.Fatal(err)
		}
		return <-clients
	}
	if got := shown(); got != "one" {
		t.Fatalf("the server saw %q, want one", got)
	}
	a.Issue("two", "two")
	swap("..2", "two", false)
	kittest.Eventually(t, 5*time.Second, func() bool { return shown() == "two" }, "the second certificate")
	swap("..3", "two", true)
	kittest.Eventually(t, 5*time.Second, func() bool { return strings.Contains(text.String(), "broken") }, "the broken one to be noticed")
	if got := shown(); got != "two" {
		t.Errorf("after a broken certificate the server saw %q, want two", got)
	}
}

func TestConfig_IsNotResumedByATicketThatIsReadAfterTheCertificateHasRotated(t *testing.T) {
	a := kittest.NewAuthority(t)
	address, clients := server(t, a, "db")
	for _, name := range []string{"one", "two"} {
		a.Issue(name, name)
	}
	s, err := New(Client{CA: a.File("ca.pem"), Cert: a.File("one.crt"), Key: a.File("one.key")})
	if err != nil {
		t.Fatal(err)
	}
	config := s.Config("db")
	old, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	<-clients
	for _, kind := range []string{"crt", "key"} {
		if err := os.Rename(a.File("two."+kind), a.File("one."+kind)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	_, _ = old.Read(make([]byte, 1)) // the tickets, then the end
	if err := dial(t, address, config); err != nil {
		t.Fatal(err)
	}
	if got := <-clients; got != "two" {
		t.Errorf("the server saw %q, want two", got)
	}
}
