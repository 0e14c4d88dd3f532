package main

import (
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// netHTTPFailures are the cases that net/http's own server fails: it answers 400 instead of resetting the stream for
// connection-specific fields and TE (8.1.2.2), drops HTTP/1.1-looking prefaces and several window sizes in one SETTINGS
// with the connection (3.5, 6.5.3), and takes a HEADERS frame above the default size (4.2).
const netHTTPFailures = 5

func TestReal_H2SpecFindsNoMoreThanInNetHTTPItself(t *testing.T) {
	h2spec := kittest.GoTool(t, "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible")
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }), false, false)
	address, _, _ := proxied(t, s.URL)
	host, port, _ := net.SplitHostPort(address)
	out, _ := exec.Command(h2spec, "-h", host, "-p", port, "--timeout", "2").CombinedOutput() // exit 1 for any failure
	counts := regexp.MustCompile(`(\d+) tests, (\d+) passed, \d+ skipped, (\d+) failed`).FindSubmatch(out)
	if counts == nil {
		t.Fatalf("no result:\n%s", out)
	}
	if failed, _ := strconv.Atoi(string(counts[3])); failed > netHTTPFailures {
		t.Errorf("%s\n%s", counts[0], out)
	}
}
