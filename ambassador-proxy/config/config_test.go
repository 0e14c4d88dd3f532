package config

import (
	"os"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// readmeExample is the YAML block of the README.
func readmeExample(t *testing.T) []byte {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	block, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the README has no YAML block")
	}
	return []byte(block)
}

func TestREADME_ExampleIsAValidConfiguration(t *testing.T) {
	c := Default()
	p, err := conf.Parse("README.md", readmeExample(t), &c, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	c.Complete()
	c.Validate(p)
	if err := p.Err(); err != nil {
		t.Error(err)
	}
}

func TestREADME_NamesEveryURLOption(t *testing.T) {
	text, _ := os.ReadFile("../README.md")
	for _, o := range options() {
		if !strings.Contains(string(text), "`"+o.name) {
			t.Errorf("option %s is not in the README", o.name)
		}
	}
}

func TestExposed_OnlyLoopbackAndSocketsAreNot(t *testing.T) {
	for address, want := range map[string]bool{"8080": false, "127.0.0.1:1": false, "[::1]:1": false, "localhost:1": false, "unix:/a": false,
		":8080": true, "0.0.0.0:1": true, "[::]:1": true, "10.0.0.1:1": true} {
		if got, err := Exposed(address); err != nil || got != want {
			t.Errorf("%s: %v, %v", address, got, err)
		}
	}
	for _, address := range []string{"", "0", "x", "host.name:1", "unix:a", "70000"} {
		if _, err := Exposed(address); err == nil {
			t.Errorf("%q is accepted", address)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"https://api.example.com", "tcp://[::1]:1,b:2?x=1", "srv+http://_a._tcp.b", "file+http:///x", "unix:/a", "://", "http://u@h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseTarget(s)
		if err != nil {
			return
		}
		for _, h := range target.Hosts {
			if h.Host == "" || strings.ContainsAny(h.Host, " \r\n/@") || h.Port == "" && target.Source != FromSRV {
				t.Errorf("%q: host %+v", s, h)
			}
		}
	})
}
