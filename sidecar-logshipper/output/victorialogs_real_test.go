package output

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

func TestReal_VictoriaLogsHasEveryLineThatWasAcknowledged(t *testing.T) {
	web, syslog := kittest.VictoriaLogs(t)
	h := HTTPConfig{URL: "http://" + web}
	with := func(path string) HTTPConfig { return HTTPConfig{URL: h.URL + path} }
	for name, c := range map[string]Config{
		"victorialogs":  {VictoriaLogs: &VictoriaLogsConfig{HTTPConfig: HTTPConfig{URL: h.URL, Compression: "zstd"}}},
		"loki":          {Loki: &LokiConfig{HTTPConfig: with("/insert/loki/api/v1/push?_msg_field=message")}},
		"elasticsearch": {Elasticsearch: &ElasticsearchConfig{HTTPConfig: with("/insert/elasticsearch/_bulk?_msg_field=message")}},
		"otlp":          {OTLP: &OTLPConfig{HTTPConfig: HTTPConfig{URL: h.URL + "/insert/opentelemetry/v1/logs", Compression: "gzip"}}},
		"splunk":        {Splunk: &SplunkConfig{HTTPConfig: with("/insert/splunk/services/collector/event?_msg_field=event,event.message,message")}},
		"syslog":        {Syslog: &SyslogConfig{URL: "tcp://" + syslog}},
	} {
		t.Run(name, func(t *testing.T) {
			out := open(t, c)
			const lines = 5000
			sendNow(t, out, name, lines)
			query := "http://" + web + "/select/logsql/query?" + url.Values{"limit": {"20000"}, "query": {`"` + name + `-line" | fields _msg`}}.Encode()
			kittest.Eventually(t, 20*time.Second, func() bool {
				code, body := kittest.Get(query)
				return code == http.StatusOK && strings.Count(body, name+"-line") == lines
			}, "every line to be found")
		})
	}
}

// sendNow sends lines that are dated now, half of them as they stand and half as parsed records.
func sendNow(t *testing.T, s *shipper, name string, lines int) {
	t.Helper()
	texts := make([]string, lines/2)
	for i := range texts {
		texts[i] = name + "-line \"quoted\" \\ é"
	}
	c := chunkOf(texts...)
	c.Time = time.Now().UnixNano()
	body, n := s.out.AppendChunk(s.out.Begin(nil), c)
	for start, end := range c.Records() {
		var r record.Record
		r.Reset(c, start, end)
		r.Time += int64(len(c.Data))
		r.Level = "info"
		body = s.out.AppendRecord(body, &r)
		n++
	}
	if err := s.out.Send(t.Context(), &Batch{Body: s.out.End(body), Records: n}); err != nil {
		t.Fatal(err)
	}
}
