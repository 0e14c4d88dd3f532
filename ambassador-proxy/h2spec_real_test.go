package main

import (
	"encoding/xml"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// otherwise are the cases, by the section of RFC 7540 that h2spec follows, in which the ambassador does something else on purpose.
func otherwise() map[string]string {
	return map[string]string{
		"http2/3.5: Sends invalid connection preface": "what is no preface is HTTP/1.1 on this port, and is answered 400 in it",
	}
}

func TestReal_H2SpecFindsNothing(t *testing.T) {
	h2spec := kittest.GoTool(t, "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible")
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }), false, false)
	address, _, _ := proxied(t, s.URL)
	host, port, _ := net.SplitHostPort(address)
	file := filepath.Join(t.TempDir(), "report.xml")
	out, _ := exec.Command(h2spec, "-h", host, "-p", port, "--timeout", "2", "-j", file).CombinedOutput() // exit 1 for any failure
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var report struct {
		Suites []struct {
			Cases []struct {
				Package string    `xml:"package,attr"`
				Name    string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(raw, &report); err != nil {
		t.Fatal(err)
	}
	known, passed := otherwise(), 0
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			name := c.Package + ": " + c.Name
			switch _, expected := known[name]; {
			case c.Failure == nil && c.Error == nil:
				passed++
			case !expected:
				t.Errorf("fails: %s", name)
			default:
				delete(known, name)
			}
		}
	}
	t.Logf("%d cases pass", passed)
	if passed < 144 {
		t.Errorf("%d cases pass\n%s", passed, out)
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		t.Errorf("passes now, take it off the list: %s", name)
	}
}
