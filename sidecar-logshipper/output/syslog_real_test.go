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
  defaultNetstreamDriverCAFile="%[1]s/server.crt" defaultNetstreamDriverCertFile="%[1]s/server.crt" defaultNetstreamDriverKeyFile="%[1]s/server.key")
module(load="imtcp")
module(load="imudp")
template(name="parsed" type="string" string="%%syslogfacility%%.%%syslogseverity%% %%hostname%% %%app-name%% %%structured-data%% %%msg%%\n")
ruleset(name="all") { action(type="omfile" file="%[1]s/received" template="parsed") }
input(type="imtcp" address="127.0.0.1" port="%[2]s" ruleset="all")
input(type="imtcp" address="127.0.0.1" port="%[3]s" ruleset="all" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imudp" address="127.0.0.1" port="%[4]s" ruleset="all" rcvbufSize="4m")
`

// syslogNGConfig does the same.
const syslogNGConfig = `@version: 3.38
options { keep-hostname(yes); log-msg-size(65536); stats-freq(0); };
source all {
  syslog(ip("127.0.0.1") port(%[2]s) transport("tcp"));
  syslog(ip("127.0.0.1") port(%[3]s) transport("tls") tls(key-file("%[1]s/server.key") cert-file("%[1]s/server.crt") peer-verify(optional-untrusted)));
  syslog(ip("127.0.0.1") port(%[4]s) transport("udp") so-rcvbuf(4194304));
};
destination file { file("%[1]s/received" template("${FACILITY_NUM}.${LEVEL_NUM} ${HOST} ${PROGRAM} ${SDATA} ${MSG}\n")); };
log { source(all); destination(file); };
`

// syslogServer is started in a folder with its certificate, and appends what it receives to the file received there.
type syslogServer struct {
	config string
	start  func(t *testing.T, dir, config string)
}

func startRsyslog(t *testing.T, dir, config string) {
	kittest.NeedReal(t, "rsyslogd")
	if drivers, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_ossl.so"); drivers == nil {
		kittest.NeedReal(t, "rsyslog-openssl") // a plug-in, which no program shows
	}
	kittest.Start(t, nil, "rsyslogd", "-n", "-f", config, "-i", filepath.Join(dir, "pid"))
}

// startSyslogNG runs what .ci/packages has unpacked: it cannot be installed beside rsyslog.
func startSyslogNG(t *testing.T, dir, config string) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(cache, "pod-helpers", "syslog-ng")
	program := filepath.Join(root, "usr/sbin/syslog-ng")
	kittest.NeedReal(t, program)
	plugins, _ := filepath.Glob(filepath.Join(root, "usr/lib/syslog-ng/[0-9]*"))
	libraries, _ := filepath.Glob(filepath.Join(root, "*/lib*/*-linux-gnu"))
	more, _ := filepath.Glob(filepath.Join(root, "lib/*-linux-gnu"))
	paths := append(append(libraries, more...), filepath.Join(root, "usr/lib/syslog-ng"))
	kittest.Start(t, []string{"LD_LIBRARY_PATH=" + strings.Join(paths, ":")}, program, "--foreground", "--no-caps", "--cfgfile", config,
		"--module-path", strings.Join(plugins, ":"), "--persist-file", dir+"/persist", "--control", dir+"/control", "--pidfile", dir+"/pid")
}

func (s syslogServer) open(t *testing.T) (dir string, ports map[string]string) {
	t.Helper()
	a := kittest.NewAuthority(t)
	a.Issue("server", "syslog")
	dir = a.Dir
	ports = map[string]string{"tcp": kittest.FreePort(t), "tls": kittest.FreePort(t), "udp": kittest.FreePort(t)}
	config := filepath.Join(dir, "server.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, s.config, dir, ports["tcp"], ports["tls"], ports["udp"]), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t, dir, config)
	for _, network := range []string{"tcp", "tls"} {
		kittest.Eventually(t, 10*time.Second, func() bool {
			conn, err := net.Dial("tcp", "127.0.0.1:"+ports[network])
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		}, "the server to listen")
	}
	return dir, ports
}

func TestReal_RsyslogHasEveryMessageOverTCPAndTLSAndUDP(t *testing.T) {
	syslogServer{rsyslogConfig, startRsyslog}.hasEveryMessage(t)
}

func TestReal_SyslogNGHasEveryMessageOverTCPAndTLSAndUDP(t *testing.T) {
	syslogServer{syslogNGConfig, startSyslogNG}.hasEveryMessage(t)
}

func (s syslogServer) hasEveryMessage(t *testing.T) {
	dir, ports := s.open(t)
	for network, port := range ports {
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
