package output

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// What a destination knows a resend by, of each record of a body.

func lokiIdentities(body []byte) (list []string, err error) {
	err = fields(body, func(_ protowire.Number, stream []byte) error {
		labels := ""
		return fields(stream, func(n protowire.Number, part []byte) error {
			if n == 1 {
				labels = string(part)
				return nil
			}
			list = append(list, fmt.Sprintf("%s %x", labels, part)) // timestamp and line
			return nil
		})
	})
	return list, err
}

func otlpIdentities(body []byte) (list []string, err error) {
	var data logs.LogsData
	if err := proto.Unmarshal(body, &data); err != nil {
		return nil, err
	}
	for _, resource := range data.ResourceLogs {
		for _, scope := range resource.ScopeLogs {
			for _, r := range scope.LogRecords {
				for _, a := range r.Attributes {
					if a.Key == "log.record.uid" {
						list = append(list, fmt.Sprint(a.Value.GetStringValue(), r.TimeUnixNano))
					}
				}
			}
		}
	}
	return list, nil
}

// jsonIdentities are those of bulk actions and of JSON lines.
func jsonIdentities(body []byte) (list []string, err error) {
	for line := range strings.Lines(string(body)) {
		var o struct {
			Create struct {
				ID string `json:"_id"`
			}
			ID        string `json:"event_id"`
			Time      string `json:"time"`
			Timestamp string `json:"@timestamp"`
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			return nil, err
		}
		if id := o.Create.ID + o.ID; id != "" {
			list = append(list, id)
		}
		if at := o.Time + o.Timestamp; at != "" {
			list = append(list, at)
		}
	}
	return list, nil
}

func TestResend_IsToldByTheSameTimesAndIDsWhereverAReadBegan(t *testing.T) {
	for name, c := range map[string]struct {
		config     Config
		identities func([]byte) ([]string, error)
	}{
		"loki":          {Config{Loki: &LokiConfig{HTTPConfig: HTTPConfig{URL: "http://loki"}}}, lokiIdentities},
		"otlp":          {Config{OTLP: &OTLPConfig{HTTPConfig: HTTPConfig{URL: "http://otlp"}}}, otlpIdentities},
		"elasticsearch": {Config{Elasticsearch: &ElasticsearchConfig{HTTPConfig: HTTPConfig{URL: "http://es"}}}, jsonIdentities},
		"http":          {Config{HTTP: &JSONConfig{HTTPConfig: HTTPConfig{URL: "http://http"}}}, jsonIdentities},
	} {
		t.Run(name, func(t *testing.T) {
			out := open(t, c.config).out
			whole := chunkOf(slices.Repeat([]string{"the same line"}, 20)...)
			encoded := func(chunks ...*record.Chunk) (all []string) {
				t.Helper()
				for _, chunk := range chunks {
					list, err := c.identities([]byte(encode(out, chunk)))
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, list...)
				}
				return all
			}
			want := encoded(whole)
			if len(want) < 20 {
				t.Fatalf("%d identities of 20 records: %q", len(want), want)
			}
			for lines := 1; lines < 20; lines += 6 {
				at := lines * len("the same line\n")
				a, b := whole.Slice(0, at, nil), whole.Slice(at, len(whole.Data), nil)
				if got := encoded(&a, &b); !slices.Equal(got, want) {
					t.Errorf("cut after %d lines:\n%q\nwant\n%q", lines, got, want)
				}
			}
			slices.Sort(want)
			if len(slices.Compact(want)) < 20 {
				t.Error("two equal lines of one file are taken for one")
			}
		})
	}
}
