package layer4

import (
	"bytes"
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The bytes are those of section 2.2 of proxy-protocol.txt.
func TestHeader_IsThePROXYProtocol(t *testing.T) {
	from, to := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 258}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 80}
	if got := string(header(from, to, "v1")); got != "PROXY TCP4 10.0.0.1 10.0.0.2 258 80\r\n" {
		t.Errorf("v1 %q", got)
	}
	want := []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x01\x02\x00\x50")
	if got := header(from, to, "v2"); !bytes.Equal(got, want) {
		t.Errorf("v2 %q", got)
	}
	unix := &net.UnixAddr{Name: "/a"}
	if got := string(header(unix, unix, "v1")); got != "PROXY UNKNOWN\r\n" {
		t.Errorf("unix v1 %q", got)
	}
}
