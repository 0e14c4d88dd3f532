package output

import (
	"bufio"
	"crypto/sha512"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

// login is what a server with a shared key asks for, by the specification: HELO, PING, PONG before the first message.
type login struct {
	key, user, password string
	hostname            string // of the server
	short               bool   // a connection is for one message
	lie                 bool   // it claims to know a key that it does not know
}

const loginNonce, loginSalt = "0123456789abcdef", "fedcba9876543210"

func sum512(parts ...string) string {
	sum := sha512.Sum512([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// admit says whether the client may go on.
func (l *login) admit(conn net.Conn, r *bufio.Reader) (bool, error) {
	salt := ""
	if l.user != "" {
		salt = loginSalt
	}
	// a map of three: nonce as bytes, auth as bytes, keepalive
	helo := fmt.Sprintf("\x92\xa4HELO\x83\xa5nonce\xc4%c%s\xa4auth\xc4%c%s\xa9keepalive", len(loginNonce), loginNonce, len(salt), salt)
	if l.short {
		helo += "\xc2"
	} else {
		helo += "\xc3"
	}
	if _, err := io.WriteString(conn, helo); err != nil {
		return false, err
	}
	kind, err := r.ReadByte()
	if err != nil {
		return false, nil // the client did not like the HELO
	}
	if kind != 0x96 {
		return false, fmt.Errorf("PING begins with %#x", kind)
	}
	ping := make([]string, 6)
	for i := range ping {
		v, err := unpackValue(r)
		text, ok := v.(string)
		if err != nil || !ok {
			return false, fmt.Errorf("part %d of PING: %v, %w", i, v, err)
		}
		ping[i] = text
	}
	if ping[0] != "PING" || ping[1] != "web-1" || len(ping[2]) < 16 {
		return false, fmt.Errorf("PING %q", ping)
	}
	reason := ""
	switch {
	case ping[3] != sum512(ping[2], ping[1], loginNonce, l.key) && !l.lie:
		reason = "shared_key mismatch"
	case l.user != "" && (ping[4] != l.user || ping[5] != sum512(loginSalt, l.user, l.password)):
		reason = "username/password mismatch"
	case l.user == "" && ping[4]+ping[5] != "":
		return false, fmt.Errorf("user %q for a server that wants none", ping[4])
	}
	pong := appendPackedString([]byte{0x95}, "PONG")
	if reason != "" {
		pong = append(pong, 0xc2)
		for _, text := range []string{reason, "", ""} {
			pong = appendPackedString(pong, text)
		}
		_, err = conn.Write(pong)
		return false, err
	}
	pong = append(pong, 0xc3)
	for _, text := range []string{"", l.hostname, sum512(ping[2], l.hostname, loginNonce, l.key)} {
		pong = appendPackedString(pong, text)
	}
	_, err = conn.Write(pong)
	return true, err
}

func fluentWith(t *testing.T, l login, c FluentConfig) (*forwardSink, *shipper) {
	s := newForwardSink(t, listen(t, "tcp"))
	s.mu.Lock()
	s.login = &l
	s.mu.Unlock()
	return s, open(t, fluentTo(s, c))
}

func TestFluent_BothSidesProveTheSharedKeyOnEachConnection(t *testing.T) {
	for name, c := range map[string]struct {
		login  login
		config FluentConfig
	}{
		"key":   {login{key: "s3cret", hostname: "aggregator"}, FluentConfig{SharedKey: "s3cret"}},
		"short": {login{key: "s3cret", hostname: "aggregator", short: true}, FluentConfig{SharedKey: "s3cret"}},
		"user":  {login{key: "s3cret", hostname: "aggregator", user: "bob", password: "pw"}, FluentConfig{SharedKey: "s3cret", Username: "bob", Password: "pw"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, out := fluentWith(t, c.login, c.config)
			all := numbered(40)
			out.ship(all[:20]...)
			s.drop()
			out.ship(all[20:]...)
			if !slices.Equal(s.messages(), all) {
				t.Errorf("%d messages", len(s.messages()))
			}
		})
	}
}

func TestFluent_SendsNothingWithoutProofOfTheKey(t *testing.T) {
	for name, c := range map[string]struct {
		login  login
		config FluentConfig
		want   string
	}{
		"our key is wrong":         {login{key: "theirs", hostname: "aggregator"}, FluentConfig{SharedKey: "ours"}, "shared_key mismatch"},
		"their key is wrong":       {login{key: "theirs", hostname: "aggregator", lie: true}, FluentConfig{SharedKey: "ours"}, "does not know the shared key"},
		"the password is wrong":    {login{key: "k", hostname: "aggregator", user: "bob", password: "pw"}, FluentConfig{SharedKey: "k", Username: "bob", Password: "guess"}, "username/password mismatch"},
		"a user is wanted":         {login{key: "k", hostname: "aggregator", user: "bob", password: "pw"}, FluentConfig{SharedKey: "k"}, "set username and password"},
		"it is our own reflection": {login{key: "k", hostname: "web-1"}, FluentConfig{SharedKey: "k"}, "our own name"},
	} {
		t.Run(name, func(t *testing.T) {
			s, out := fluentWith(t, c.login, c.config)
			retry, ok := errors.AsType[*Retryable](out.send(t.Context(), numbered(3)))
			if !ok || !strings.Contains(retry.Error(), c.want) || len(s.messages()) > 0 {
				t.Errorf("%v with %d messages", retry, len(s.messages()))
			}
		})
	}
}

func TestFluent_FollowsASharedKeyThatRotates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	write := func(key string) {
		if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	s, out := fluentWith(t, login{key: "newer", hostname: "aggregator"}, FluentConfig{SharedKey: conf.Secret("file:" + file)})
	if err := out.send(t.Context(), numbered(1)); err == nil {
		t.Fatal("the old key was taken")
	}
	write("newer")
	out.ship("after")
	if got := s.messages(); !slices.Equal(got, []string{"after"}) {
		t.Errorf("%q", got)
	}
}

func TestFluent_AServerThatDoesNotSpeakTheHandshakeIsNotSentAnything(t *testing.T) {
	for name, hello := range map[string]string{
		"nothing":        "",
		"another tongue": "HTTP/1.1 400 Bad Request\r\n\r\n",
		"no nonce":       "\x92\xa4HELO\x80",
		"a huge text":    "\x92\xa4HELO\x81\xa5nonce\xc6\xff\xff\xff\xff",
		"a deep list":    "\x91\x91\x91\x91\x91\x91\x91\x91",
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, "tcp")
			got := make(chan int, 1)
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, hello)
				_ = conn.(*net.TCPConn).CloseWrite()
				n, _ := io.Copy(io.Discard, conn)
				got <- int(n)
				_ = conn.Close()
			}()
			t.Cleanup(func() { _ = l.Close() })
			c := FluentConfig{URL: "tcp://" + l.Addr().String(), SharedKey: "k"}
			if err := open(t, Config{Fluent: &c}).send(t.Context(), numbered(2)); err == nil {
				t.Error("acknowledged")
			}
			if n := <-got; n > 0 {
				t.Errorf("%d bytes were sent", n)
			}
		})
	}
}

func TestFluent_TheKeyIsProvenWithinTLSAndAgainOnTheNextConnection(t *testing.T) {
	a := kittest.NewAuthority(t)
	d := startFluentWith(t, &login{key: "k", hostname: "aggregator"}, &tls.Config{Certificates: []tls.Certificate{a.Issue("server", "server")}}, tlsfile.Client{CA: a.File("ca.pem")})
	d.config.Fluent.SharedKey = "k"
	out, all := d.open(t), numbered(40)
	out.ship(all[:20]...)
	d.drop()
	out.ship(all[20:]...)
	d.has(t, all)
	wrong := d.config
	c := *wrong.Fluent
	c.SharedKey = "another"
	if err := open(t, Config{Fluent: &c}).send(t.Context(), numbered(1)); err == nil || !strings.Contains(err.Error(), "shared_key mismatch") {
		t.Errorf("%v", err)
	}
}

func TestFluent_AConnectionThatIsForOneMessageIsNotUsedForTheNext(t *testing.T) {
	s, out := fluentWith(t, login{key: "k", hostname: "aggregator", short: true}, FluentConfig{SharedKey: "k"})
	for range 3 {
		if err := out.send(t.Context(), numbered(2)); err != nil { // the first attempt, each time
			t.Fatal(err)
		}
		if f := out.out.(*Fluent); f.conn != nil {
			t.Error("the connection is kept")
		}
	}
	if n := len(s.messages()); n != 6 {
		t.Errorf("%d messages, want 6", n)
	}
}

func FuzzReadPacked(f *testing.F) {
	f.Add([]byte("\x92\xa4HELO\x82\xa5nonce\xc4\x02ab\xa9keepalive\xc3"))
	f.Add([]byte("\x95\xa4PONG\xc3\xa0\xa1h\xd9\x02xy"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bufio.NewReader(strings.NewReader(string(data)))
		for range 8 {
			if _, err := readPacked(in, 0); err != nil {
				return
			}
		}
	})
}
