package output

import (
	"testing"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// hotPath are the encoders that lines pass without being parsed.
func hotPath(t testing.TB) map[string]Output {
	t.Helper()
	common := HTTPConfig{URL: "http://127.0.0.1:1"}
	outputs := map[string]Output{}
	for name, c := range map[string]Config{
		"http":          {HTTP: &JSONConfig{HTTPConfig: common}},
		"loki":          {Loki: &LokiConfig{HTTPConfig: common}},
		"otlp":          {OTLP: &OTLPConfig{HTTPConfig: common}},
		"elasticsearch": {Elasticsearch: &ElasticsearchConfig{HTTPConfig: common}},
		"victorialogs":  {VictoriaLogs: &VictoriaLogsConfig{HTTPConfig: common}},
		"splunk":        {Splunk: &SplunkConfig{HTTPConfig: common}},
		"syslog":        {Syslog: &SyslogConfig{URL: "tcp://127.0.0.1:1"}},
		"stdout":        {Stdout: &StdoutConfig{}},
	} {
		o, err := New(c, testEnv())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = o.Close() })
		outputs[name] = o
	}
	return outputs
}

func TestEncoders_AllocateNothingOnThePassThroughPath(t *testing.T) {
	text, objects := combinedChunk(), jsonChunk()
	objects.Source = text.Source
	for name, o := range hotPath(t) {
		var dst []byte
		pass := func() {
			dst = o.Begin(dst[:0])
			dst, _ = o.AppendChunk(dst, text)
			dst, _ = o.AppendChunk(dst, objects)
			dst = o.End(dst)
		}
		pass() // grows dst and learns the sources
		if n := testing.AllocsPerRun(10, pass); n != 0 {
			t.Errorf("%s: %.0f allocations for %d lines", name, n, text.Count()+objects.Count())
		}
	}
}

// BenchmarkEncode guards the throughput of encoding whole chunks, in bytes of input, with no allocation.
func BenchmarkEncode(b *testing.B) {
	text, objects := combinedChunk(), jsonChunk()
	for name, o := range hotPath(b) {
		for kind, chunk := range map[string]*record.Chunk{"combined": text, "json": objects} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				var dst []byte
				b.SetBytes(int64(len(chunk.Data)))
				b.ReportAllocs()
				for b.Loop() {
					dst = o.Begin(dst[:0])
					dst, _ = o.AppendChunk(dst, chunk)
					dst = o.End(dst)
				}
			})
		}
	}
}
