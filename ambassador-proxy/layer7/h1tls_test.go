package layer7

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/peek"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// framing is a socket below the TLS of a server that decides which records go in which segments.
type framing struct {
	net.Conn
	bytewise bool
	holds    bool // until flush
	held     []byte
}

func (f *framing) Write(p []byte) (int, error) {
	switch {
	case f.holds:
		f.held = append(f.held, p...)
		return len(p), nil
	case f.bytewise:
		for i := range p {
			if _, err := f.Conn.Write(p[i : i+1]); err != nil {
				return i, err
			}
		}
		return len(p), nil
	}
	return f.Conn.Write(p)
}

func (f *framing) flush() {
	f.holds = false
	f.SetWriteDeadline(time.Time{}) // a CloseWrite of TLS sets it
	f.Conn.Write(f.held)
	f.held = nil
}

// overTLS is an upstream whose script is given its side of the TLS and what is below.
func overTLS(t testing.TB, version uint16, script func(c *tls.Conn, r *bufio.Reader, f *framing)) *address {
	authority := kittest.NewAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{authority.Issue("server", "a")}, MaxVersion: version}
	a := upstream(t, func(c net.Conn, _ *bufio.Reader) {
		f := &framing{Conn: c}
		secured := tls.Server(f, config)
		script(secured, bufio.NewReader(secured), f)
	})
	a.tls = &tls.Config{RootCAs: authority.Pool(), ServerName: "a"}
	return a
}

const (
	getA     = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	helloOK  = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
	helloAll = helloOK + "hello"
)

// saysHello sends a request and wants the answer of the upstream.
func saysHello(t *testing.T, c net.Conn, r *bufio.Reader) {
	t.Helper()
	io.WriteString(c, getA)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); string(b) != "hello" || err != nil {
		t.Fatalf("%d %q, %v", res.StatusCode, b, err)
	}
}

var tlsVersions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

func TestTLS_AnAnswerIsTheSameHoweverItIsCut(t *testing.T) {
	for name, version := range tlsVersions {
		t.Run(name, func(t *testing.T) {
			up := overTLS(t, version, func(c *tls.Conn, r *bufio.Reader, f *framing) {
				for n := 0; head(r) != ""; n++ {
					switch n % 4 {
					case 0, 2:
						io.WriteString(c, helloAll)
					case 1: // a byte in each record, a byte of a record in each segment
						f.bytewise = true
						for i := range helloAll {
							io.WriteString(c, helloAll[i:i+1])
						}
						f.bytewise = false
					case 3: // two records at once
						f.holds = true
						io.WriteString(c, helloOK)
						io.WriteString(c, "hello")
						f.flush()
					}
				}
			})
			_, addr := engine(t, poolOf(up))
			c := dial(t, addr)
			r := bufio.NewReader(c)
			for range 12 {
				saysHello(t, c, r)
			}
			if n := up.dialed(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// What TLS has got of an end with the answer, the socket does not tell again.
func TestTLS_AnIdleConnectionThatTheUpstreamEndsIsReplacedAtOnce(t *testing.T) {
	for name, end := range map[string]func(c *tls.Conn, f *framing){
		"close_notify with the answer": func(c *tls.Conn, f *framing) {
			f.holds = true
			io.WriteString(c, helloAll)
			c.CloseWrite()
			f.flush()
			io.Copy(io.Discard, f)
		},
		"all with the answer": func(c *tls.Conn, f *framing) {
			f.holds = true
			io.WriteString(c, helloAll)
			c.CloseWrite()
			f.flush()
		},
		"no close_notify": func(c *tls.Conn, f *framing) { io.WriteString(c, helloAll) },
	} {
		for version := range tlsVersions {
			t.Run(name+", "+version, func(t *testing.T) {
				up := overTLS(t, tlsVersions[version], func(c *tls.Conn, r *bufio.Reader, f *framing) {
					head(r)
					io.WriteString(c, helloAll)
					head(r)
					end(c, f)
				})
				_, addr := engine(t, poolOf(up))
				c := dial(t, addr)
				r := bufio.NewReader(c)
				for range 6 {
					saysHello(t, c, r)
				}
				if n := up.dialed(); n != 3 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

func TestTLS_AWaitForAnAnswerEndsWhenItsTimeIsUpOrTheClientIsGone(t *testing.T) {
	var ended atomic.Int32
	up := overTLS(t, tls.VersionTLS13, func(c *tls.Conn, r *bufio.Reader, f *framing) {
		head(r)
		io.WriteString(c, helloAll)
		io.Copy(io.Discard, r)
		ended.Add(1)
	})
	p := poolOf(up)
	p.settings.Header = 50 * time.Millisecond
	_, addr := engine(t, p)
	c := dial(t, addr)
	r := bufio.NewReader(c)
	saysHello(t, c, r)
	io.WriteString(c, getA)
	if h := head(r); !strings.HasPrefix(h, "HTTP/1.1 504 ") || !strings.Contains(h, "upstream_timeout_headers") {
		t.Errorf("%q", h)
	}
	eventually(t, func() bool { return ended.Load() == 1 })

	patient := poolOf(up)
	_, addr = engine(t, patient)
	c = dial(t, addr)
	saysHello(t, c, bufio.NewReader(c))
	io.WriteString(c, getA)
	c.Close()
	eventually(t, func() bool { return ended.Load() == 2 })
	eventually(t, func() bool { return up.last().Reason == reason.ClientAborted })
}

func TestTLS_AnAnswerOfTwoRecordsIsWaitedForAndReadAtOnce(t *testing.T) {
	up := overTLS(t, tls.VersionTLS13, func(c *tls.Conn, r *bufio.Reader, f *framing) {
		for head(r) != "" {
			f.holds = true
			io.WriteString(c, helloOK)
			io.WriteString(c, "hello")
			f.flush()
		}
	})
	conn, err := up.Acquire(t.Context(), time.Now(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	l := conn.link
	l.pool = newBuffers()
	var p peek.Peeker
	p.Start(conn.Conn)
	for i := range 50 {
		if err := l.ask([]byte(getA)); err != nil || l.sent != len(getA) {
			t.Fatal(l.sent, err)
		}
		if _, there := p.Look(); !there && i > 0 { // TLS has not said yet that it has read all of the handshake
			t.Fatalf("answer %d is not there", i)
		}
		if err := l.fill(); err != nil || string(l.bytes()) != helloAll {
			t.Fatalf("%q, %v", l.bytes(), err)
		}
	}
}

func TestBelowTLS_WaitsForASocketThatIsFull(t *testing.T) {
	const question, answer = 4 << 20, 1 << 20
	up := upstream(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := io.CopyN(io.Discard, r, question); err == nil {
			c.Write(make([]byte, answer))
		}
	})
	c, err := net.Dial("tcp", up.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := BelowTLS(c).(*below)
	if n, err := b.ask(b, make([]byte, question)); n != question || err != nil {
		t.Fatal(n, err)
	}
	if n, err := io.ReadFull(b, make([]byte, answer)); n != answer || err != nil {
		t.Fatal(n, err)
	}
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
}

func TestBelowTLS_FailsAsANetworkConnectionDoes(t *testing.T) {
	reset := make(chan bool)
	up := upstream(t, func(c net.Conn, r *bufio.Reader) {
		r.ReadByte()
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		close(reset)
	})
	c, err := net.Dial("tcp", up.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := BelowTLS(c).(*below)
	b.SetDeadline(time.Unix(1, 0))
	if n, err := b.ask(b, []byte("x")); n != 0 || !os.IsTimeout(err) {
		t.Error(n, err)
	}
	b.SetDeadline(time.Time{})
	if n, err := b.ask(b, []byte("x")); n != 1 || err != nil {
		t.Error(n, err)
	}
	<-reset
	want := fmt.Sprintf("read tcp %s->%s: read: connection reset by peer", c.LocalAddr(), c.RemoteAddr())
	if _, err := b.Read(make([]byte, 1)); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if _, err := b.Write([]byte("x")); err == nil || !strings.HasSuffix(err.Error(), "write: broken pipe") {
		t.Error(err)
	}
	if n, err := b.ask(b, []byte("x")); n != 0 || err == nil || !strings.HasSuffix(err.Error(), "write: broken pipe") {
		t.Error(n, err)
	}
}

// A server's new keys come in a record of the same look as an answer, and ask for a record in return.
func TestReal_NewKeysOfTLSAreNoAnswer(t *testing.T) {
	kittest.NeedReal(t, "openssl")
	authority := kittest.NewAuthority(t)
	authority.Issue("server", "a")
	up := at("tcp", kittest.FreeAddress(t))
	up.tls = &tls.Config{RootCAs: authority.Pool(), ServerName: "a"}
	server := exec.Command("openssl", "s_server", "-accept", up.addr, "-tls1_3", "-crlf", "-cert", authority.File("server.crt"), "-key", authority.File("server.key"))
	var said kittest.Buffer
	server.Stdout, server.Stderr = &said, &said
	keyboard, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer server.Process.Kill()
	says := func(n int, what string) {
		t.Helper()
		kittest.Eventually(t, 10*time.Second, func() bool { return strings.Count(said.String(), what) == n }, what)
	}
	says(1, "ACCEPT")
	_, addr := engine(t, poolOf(up))
	c := dial(t, addr)
	r := bufio.NewReader(c)
	for n := 1; n < 5; n++ {
		answered := make(chan bool)
		go func() {
			defer close(answered)
			saysHello(t, c, r)
		}()
		says(n, "GET / ")
		if n > 1 {
			io.WriteString(keyboard, "K\n") // an update of the keys, and a request for one
			says(n-1, "SSL_do_handshake -> 1")
		}
		io.WriteString(keyboard, strings.ReplaceAll(helloOK, "\r", "")+"hello")
		<-answered
	}
	if n := up.dialed(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
