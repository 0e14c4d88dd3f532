package expose_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// site is a listener with a web configuration, and the files of that.
type site struct {
	t       *testing.T
	dir     string
	signs   *kittest.Authority // in dir
	address string
	log     *kittest.Buffer
}

func (s *site) write(name, text string) {
	s.t.Helper()
	fresh := filepath.Join(s.dir, name+".new")
	if err := os.WriteFile(fresh, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(fresh, filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

func hashed(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func newFiles(t *testing.T) *site {
	a := kittest.NewAuthority(t)
	return &site{t: t, dir: a.Dir, signs: a}
}

// newSite calls prepare to write the files, then listens.
func newSite(t *testing.T, web string, prepare func(*site)) *site {
	t.Helper()
	s := newFiles(t)
	prepare(s)
	s.write("web.yml", web)
	log, text := kittest.Logs(t)
	s.log = text
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") })
	l, err := expose.Listen(t.Context(), "127.0.0.1:0", filepath.Join(s.dir, "web.yml"), h, log)
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask scrapes over a connection of its own and returns the status and the name in the server's certificate.
func (s *site) ask(scheme, user, password string, client ...tls.Certificate) (int, string, error) {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: client}}
	r, err := http.NewRequest("GET", scheme+"://"+s.address+"/metrics", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); (response.StatusCode == 200) != (string(body) == "page") {
		s.t.Errorf("status %d with %q", response.StatusCode, body)
	}
	name := ""
	if response.TLS != nil {
		name = response.TLS.PeerCertificates[0].Subject.CommonName
	}
	return response.StatusCode, name, nil
}

func TestWebConfig_AsksForCredentialsOverPlainHTTP(t *testing.T) {
	s := newSite(t, "basic_auth_users:\n  prom: "+hashed(t, "right")+"\n", func(*site) {})
	for _, c := range []struct {
		user, password string
		want           int
	}{
		{"", "", 401}, {"prom", "wrong", 401}, {"prom", "", 401}, {"other", "right", 401}, {"prom", "right", 200}, {"prom", "right", 200}, {"prom", "wrong", 401},
	} {
		if got, _, err := s.ask("http", c.user, c.password); got != c.want {
			t.Errorf("%s:%s: %d %v, want %d", c.user, c.password, got, err, c.want)
		}
	}
}

func TestWebConfig_ShowsTheNewCertificateAndKeepsTheOldSettingsWhenTheNewAreBroken(t *testing.T) {
	web := "tls_server_config: {cert_file: one.crt, key_file: one.key, min_version: TLS13}\nhttp_server_config: {http2: true, headers: {X-Frame-Options: deny}}\nbasic_auth_users: {prom: " + hashed(t, "a") + "}\n"
	s := newSite(t, web, func(s *site) { s.signs.Issue("one", "one") })
	ask := func(password string) string {
		t.Helper()
		status, name, err := s.ask("https", "prom", password)
		return fmt.Sprint(status, " ", name, " ", err)
	}
	if got := ask("a"); got != "200 one <nil>" {
		t.Fatal(got)
	}
	if status, _, _ := s.ask("http", "prom", "a"); status == 200 {
		t.Error("plain HTTP is answered too")
	}
	s.signs.Issue("two", "two")
	s.write("web.yml", "tls_server_config: {cert_file: two.crt, key_file: two.key}\nbasic_auth_users: {prom: "+hashed(t, "b")+"}\n")
	if got := ask("b"); got != "200 two <nil>" {
		t.Error(got)
	}
	if got := ask("a"); got != "401 two <nil>" {
		t.Error("the old password still counts: ", got)
	}
	for _, broken := range []string{"tls_server_config: {cert_file: gone.crt, key_file: two.key}\n", "basic_auth_users: {prom: x}\n", "rate_limit: {}\n", "basic_auth_users: {prom: " + hashed(t, "c") + "}\n"} {
		s.write("web.yml", broken)
		if got := ask("b"); got != "200 two <nil>" {
			t.Errorf("%q: %s", broken, got)
		}
		ask("b")
	}
	if n := strings.Count(s.log.String(), "is broken"); n != 4 {
		t.Errorf("four broken files were named %d times\n%s", n, s.log)
	}
}

func TestWebConfig_WantsAClientCertificateOfItsAuthority(t *testing.T) {
	var scraper, other tls.Certificate
	web := "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [scraper]}\n"
	s := newSite(t, web, func(s *site) {
		s.signs.Issue("server", "server")
		scraper, other = s.signs.Issue("a", "scraper"), s.signs.Issue("b", "other")
	})
	stranger := kittest.NewAuthority(t).Issue("c", "scraper")
	if status, _, err := s.ask("https", "", "", scraper); status != 200 {
		t.Error(status, err)
	}
	for name, certificates := range map[string][]tls.Certificate{"none": nil, "of a stranger": {stranger}, "without the name": {other}} {
		if status, _, err := s.ask("https", "", "", certificates...); err == nil {
			t.Errorf("certificate %s: answered %d", name, status)
		}
	}
}

func TestCheckWebConfig_NamesWhatIsWrong(t *testing.T) {
	s := newFiles(t)
	s.signs.Issue("a", "a")
	for web, want := range map[string]string{
		"basic_auth_user: {}\n":                                    "did you mean",
		"basic_auth_users: {prom: secret}\n":                       "htpasswd",
		"tls_server_config: {cert_file: a.crt}\n":                  "wants one of key and key_file",
		"tls_server_config: {cert_file: a.crt, key_file: a.crt}\n": "cert and key",
		"tls_server_config: {min_version: TLS1}\n":                 "TLS10",
		"http_server_config: {headers: {X: y}}\n":                  "unknown header",
		"rate_limit: {interval: 1s}\n":                             "unknown key",
		"tls_server_config: {cert_file: a.crt, key_file: a.key, client_auth_type: RequireAndVerifyClientCert}\n": "go together",
		"tls_server_config: {cert_file: a.crt, key_file: a.key, client_ca_file: a.crt}\n":                        "go together",
		"tls_server_config: {cert_file: a.crt, key_file: a.key, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}\n":    "none that is secure",
		"tls_server_config: {cert_file: a.crt, key_file: a.key, curve_preferences: [P7]}\n":                      "unknown curve",
	} {
		s.write("web.yml", web)
		p := &conf.Problems{}
		expose.CheckWebConfig(filepath.Join(s.dir, "web.yml"), p)
		if err := p.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", web, err, want)
		}
	}
	s.write("web.yml", "tls_server_config: {cert_file: a.crt, key_file: a.key, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], curve_preferences: [X25519], max_version: TLS13, prefer_server_cipher_suites: true}\n")
	p := &conf.Problems{}
	if expose.CheckWebConfig(filepath.Join(s.dir, "web.yml"), p); p.Err() != nil {
		t.Error(p.Err())
	}
}

func TestListener_AnswersThoughOthersHoldEveryConnection(t *testing.T) {
	s := newSite(t, "basic_auth_users:\n  prom: "+hashed(t, "right")+"\n", func(*site) {})
	for range 64 { // as many as it has
		c, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 512)); err != nil {
			t.Fatal(err)
		}
	}
	if status, _, err := s.ask("http", "prom", "right"); status != 200 {
		t.Errorf("%d, %v", status, err)
	}
}
