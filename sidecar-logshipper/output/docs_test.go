package output

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestReadme_HasASectionForEachOutputWithItsSettings(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for f := range reflect.TypeFor[Config]().Fields() {
		kind, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if kind == "name" {
			continue
		}
		_, section, found := strings.Cut(string(text), "\n#### Output `"+kind+"`\n")
		if !found {
			t.Errorf("README.md has no section \"#### Output `%s`\"", kind)
			continue
		}
		section, _, _ = strings.Cut(section, "\n#")
		for setting := range f.Type.Elem().Fields() {
			name, _, _ := strings.Cut(setting.Tag.Get("yaml"), ",")
			if name != "" && name != "url" && !strings.Contains(section, "`"+name+"`") {
				t.Errorf("the section of %s does not name its setting `%s`", kind, name)
			}
		}
	}
}

func TestOutputs_PackForNetworksAsEveryServerOfTheirKindTakesItAndNotToLoopback(t *testing.T) {
	for scheme, usual := range map[string]string{"http+jsonl": "", "loki+http": "", "elasticsearch+http": "gzip", "victorialogs+http": "zstd", "otlp+http": "gzip", "splunk+http": "gzip"} {
		for host, want := range map[string]string{"logs.example": usual, "10.0.0.1": usual, "localhost": "", "127.0.0.1": "", "[::1]": ""} {
			if got := packed(t, scheme+"://"+host+":1/x"); got != want {
				t.Errorf("%s to %s is packed with %q, want %q", scheme, host, got, want)
			}
		}
	}
}

func TestOutputs_TheOptionCompressionOfAURLTakesEffect(t *testing.T) {
	for _, scheme := range []string{"http+jsonl", "elasticsearch+http", "victorialogs+http", "otlp+http", "splunk+http"} {
		for _, compression := range []string{"zstd", "gzip", "snappy"} {
			if got := packed(t, scheme+"://127.0.0.1:1/x?compression="+compression); got != compression {
				t.Errorf("%s: packed with %q, want %q", scheme, got, compression)
			}
		}
		if got := packed(t, scheme+"://logs.example/x?compression=none"); got != "" {
			t.Errorf("%s: packed with %q, want none", scheme, got)
		}
	}
}

// packed is the Content-Encoding of an output's requests.
func packed(t *testing.T, raw string) string {
	t.Helper()
	c, err := FromURL(raw)
	if err != nil {
		t.Fatal(err)
	}
	switch o := open(t, c).out.(type) {
	case *HTTP:
		return o.http.packer.encoding
	case *Loki:
		return o.http.packer.encoding
	case *Elasticsearch:
		return o.http.packer.encoding
	case *VictoriaLogs:
		return o.http.packer.encoding
	case *OTLP:
		return o.http.packer.encoding
	case *Splunk:
		return o.http.packer.encoding
	}
	t.Fatalf("%s is not over HTTP", raw)
	return ""
}
