package output

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

// rsyslogConfig listens on TCP, TLS and UDP and appends each message, as rsyslog has parsed it, to one file.
const rsyslogConfig = `
global(workDirectory=%[1]q maxMessageSize="64k" defaultNetstreamDriver="ptcp"
  defaultNetstreamDriverCAFile="%[1]s/cert.pem" defaultNetstreamDriverCertFile="%[1]s/cert.pem" defaultNetstreamDriverKeyFile="%[1]s/key.pem")
module(load="imtcp")
module(load="imudp")
template(name="parsed" type="string" string="%%syslogfacility%%.%%syslogseverity%% %%hostname%% %%app-name%% %%structured-data%% %%msg%%\n")
ruleset(name="all") { action(type="omfile" file="%[1]s/received" template="parsed") }
input(type="imtcp" address="127.0.0.1" port="%[2]s" ruleset="all")
input(type="imtcp" address="127.0.0.1" port="%[3]s" ruleset="all" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imudp" address="127.0.0.1" port="%[4]s" ruleset="all" rcvbufSize="4m")
`

// rsyslog starts a server and returns its ports, in a folder with its certificate and what it has received.
func rsyslog(t *testing.T) (dir, tcp, tls, udp string) {
	t.Helper()
	kittest.NeedReal(t, "rsyslogd")
	if drivers, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_ossl.so"); drivers == nil {
		kittest.NeedReal(t, "rsyslog-openssl") // a plug-in, which no program shows
	}
	dir = t.TempDir()
	newAuthority(t).issue(dir, "cert.pem", "key.pem", "rsyslog")
	tcp, tls, udp = kittest.FreePort(t), kittest.FreePort(t), kittest.FreePort(t)
	config := filepath.Join(dir, "rsyslog.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, rsyslogConfig, dir, tcp, tls, udp), 0o600); err != nil {
		t.Fatal(err)
	}
	kittest.Start(t, nil, "rsyslogd", "-n", "-f", config, "-i", filepath.Join(dir, "pid"))
	for _, port := range []string{tcp, tls} {
		kittest.Eventually(t, 10*time.Second, func() bool {
			conn, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		}, "rsyslogd to listen")
	}
	return dir, tcp, tls, udp
}

func TestReal_RsyslogHasEveryMessageOverTCPAndTLSAndUDP(t *testing.T) {
	dir, tcp, tls, udp := rsyslog(t)
	for network, port := range map[string]string{"tcp": tcp, "tls": tls, "udp": udp} {
		t.Run(network, func(t *testing.T) {
			c := SyslogConfig{URL: network + "://127.0.0.1:" + port, Facility: 3}
			lines := 5000
			switch network {
			case "tls":
				c.TLS = tlsfile.Client{CA: filepath.Join(dir, "ca.pem")}
			case "udp":
				lines = 200 // as many as the smallest receive buffer holds, for nothing else slows UDP down
			}
			out := open(t, Config{Syslog: &c})
			received := func() string { text, _ := os.ReadFile(filepath.Join(dir, "received")); return string(text) }
			if network == "udp" {
				kittest.Eventually(t, 10*time.Second, func() bool { out.ship("udp probe"); return strings.Contains(received(), "udp probe") }, "the UDP port to listen")
			}
			messages := make([]string, lines)
			for i := range messages {
				messages[i] = fmt.Sprintf(`%s line %d "é" ]\ end`, network, i)
			}
			out.ship(messages[:lines/2]...)
			out.ship(messages[lines/2:]...)
			last := messages[lines-1]
			kittest.Eventually(t, 20*time.Second, func() bool { return strings.Contains(received(), last) }, "the last message")
			have := map[string]int{}
			for line := range strings.Lines(received()) {
				have[strings.TrimSuffix(line, "\n")]++
			}
			for _, m := range messages {
				if want := `3.6 web-1 logshipper [pod@32473 pod="web-1" namespace="shop"] ` + m; have[want] != 1 {
					t.Fatalf("%d times: %s", have[want], want)
				}
			}
		})
	}
}
