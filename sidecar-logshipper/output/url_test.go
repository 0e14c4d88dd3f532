package output

import (
	"strings"
	"testing"
)

func TestFromURL_EachSchemeMeansItsKindWithItsOptions(t *testing.T) {
	for raw, name := range map[string]string{
		"stdout:":                                         "stdout",
		"file:///archive/app.jsonl?rotate=10MiB":          "file:///archive/app.jsonl",
		"http+jsonl://sink:8080/logs?a=b":                 "http+http://sink:8080/logs",
		"loki+http://loki:3100?labels=pod,level&tenant=a": "loki+http://loki:3100",
		"elasticsearch+https://es:9200/app-logs":          "elasticsearch+https://es:9200/app-logs",
		"victorialogs+http://vl:9428?compression=zstd":    "victorialogs+http://vl:9428",
		"otlp+http://otel:4318?timeout=5s":                "otlp+http://otel:4318",
		"splunk+https://hec:8088?index=main":              "splunk+https://hec:8088",
		"syslog+tls://logs:6514?facility=3":               "syslog+tls://logs:6514",
	} {
		c, err := FromURL(raw)
		if err != nil || c.Name() != name {
			t.Errorf("%s: %q, %v", raw, c.Name(), err)
		}
	}
	c, err := FromURL("loki+http://loki:3100?labels=pod,level&tenant=42&timeout=5s")
	if err != nil || strings.Join(c.Loki.Labels, " ") != "pod level" || c.Loki.Tenant != "42" || c.Loki.Timeout.String() != "5s" || c.Loki.URL != "http://loki:3100" {
		t.Errorf("%+v %v", c.Loki, err)
	}
}

func TestFromURL_SaysWhatIsWrong(t *testing.T) {
	for raw, want := range map[string]string{
		"ftp://x":                              "unknown scheme",
		"loki://x":                             "(write loki+http:// loki+https://)",
		"file://archive/app.jsonl":             `"archive" does not belong there (write file:///)`,
		"file:app.jsonl":                       `"app.jsonl" does not belong there`,
		"stdout:json":                          `"json" does not belong there (write stdout:)`,
		"loki+http://a:b@x":                    "credentials do not go into flags",
		"loki+http://x?tennant=a":              "tenant",
		"loki+http://x?labels=a&labels=b":      "labels is there twice",
		"http+jsonl://x?timeout=1s&timeout=2s": "timeout is there twice",
		"otlp+http://x?timeout=soon":           "duration",
	} {
		if _, err := FromURL(raw); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
