package output

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// httpRow is one output over HTTP in the conformance suite.
type httpRow struct {
	name   string
	config func(HTTPConfig) Config
	read   func(body []byte) ([]string, error)
	// refuse answers a body with a poison record where the destination takes the others; nil: it refuses the body, with 400.
	refuse func(w http.ResponseWriter, messages []string)
	http2  bool // it speaks nothing else
}

func httpRows() []httpRow {
	return append(fullRows(), []httpRow{
		{"http", func(h HTTPConfig) Config { return Config{HTTP: &JSONConfig{HTTPConfig: h}} }, linesOf("message"), nil, false},
		{"http array", func(h HTTPConfig) Config { return Config{HTTP: &JSONConfig{HTTPConfig: h, Format: "array"}} }, readArray, nil, false},
		{"victorialogs", func(h HTTPConfig) Config { return Config{VictoriaLogs: &VictoriaLogsConfig{HTTPConfig: h}} }, linesOf("_msg"), nil, false},
		{"loki", func(h HTTPConfig) Config { return Config{Loki: &LokiConfig{HTTPConfig: h}} }, readLoki, nil, false},
		{"otlp", func(h HTTPConfig) Config { return Config{OTLP: &OTLPConfig{HTTPConfig: h}} }, readOTLP, nil, false},
		{"elasticsearch", func(h HTTPConfig) Config { return Config{Elasticsearch: &ElasticsearchConfig{HTTPConfig: h}} }, readBulk, refuseBulk, false},
		{"splunk", func(h HTTPConfig) Config { return Config{Splunk: &SplunkConfig{HTTPConfig: h}} }, linesOf("event"), nil, false},
	}...)
}

// linesOf reads JSON lines and returns one member of each.
func linesOf(key string) func([]byte) ([]string, error) {
	return func(body []byte) (messages []string, err error) {
		for line := range bytes.Lines(body) {
			var o map[string]any
			if err := json.Unmarshal(line, &o); err != nil {
				return nil, fmt.Errorf("%w in %q", err, line)
			}
			text, ok := o[key].(string)
			if !ok {
				return nil, fmt.Errorf("no %s in %q", key, line)
			}
			messages = append(messages, text)
		}
		return messages, nil
	}
}

func readArray(body []byte) (messages []string, err error) {
	var all []struct{ Message string }
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	for _, o := range all {
		messages = append(messages, o.Message)
	}
	return messages, nil
}

// readBulk reads pairs of an action and a document; each action is a create with an _id.
func readBulk(body []byte) (messages []string, err error) {
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		var action struct {
			Create struct {
				Index string `json:"_index"`
				ID    string `json:"_id"`
			}
		}
		var document map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &action); err != nil || len(action.Create.ID) != 32 || action.Create.Index == "" {
			return nil, fmt.Errorf("action %q: %v", lines[i], err)
		}
		if err := json.Unmarshal([]byte(lines[i+1]), &document); err != nil || document["@timestamp"] == nil {
			return nil, fmt.Errorf("document %q: %v", lines[i+1], err)
		}
		messages = append(messages, document["message"].(string))
	}
	return messages, nil
}

func refuseBulk(w http.ResponseWriter, messages []string) {
	var items []string
	for i, m := range messages {
		switch {
		case m == poison:
			items = append(items, `{"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"bad"}}}`)
		case i%2 == 0:
			items = append(items, `{"create":{"status":409,"error":{"type":"version_conflict_engine_exception"}}}`)
		default:
			items = append(items, `{"create":{"status":201}}`)
		}
	}
	fmt.Fprintf(w, `{"errors":true,"items":[%s]}`, strings.Join(items, ","))
}

// readOTLP reads LogsData, which is on the wire what ExportLogsServiceRequest is, with the published protobuf module.
func readOTLP(body []byte) (messages []string, err error) {
	var data logs.LogsData
	if err := proto.Unmarshal(body, &data); err != nil {
		return nil, err
	}
	for _, resource := range data.ResourceLogs {
		for _, scope := range resource.ScopeLogs {
			for _, r := range scope.LogRecords {
				messages = append(messages, r.Body.GetStringValue())
			}
		}
	}
	return messages, nil
}

// readLoki reads logproto.PushRequest: streams (1) of labels (1) and entries (2) of a timestamp (1) and a line (2).
func readLoki(body []byte) (messages []string, err error) {
	err = fields(body, func(_ protowire.Number, stream []byte) error {
		return fields(stream, func(n protowire.Number, entry []byte) error {
			if n != 2 {
				return nil
			}
			return fields(entry, func(n protowire.Number, line []byte) error {
				if n == 2 {
					messages = append(messages, string(line))
				}
				return nil
			})
		})
	})
	return messages, err
}

// fields calls each for every length-delimited field of a message.
func fields(message []byte, each func(protowire.Number, []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if kind != protowire.BytesType {
			return fmt.Errorf("field %d has type %d", number, kind)
		}
		value, n := protowire.ConsumeBytes(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if err := each(number, value); err != nil {
			return err
		}
	}
	return nil
}

// authority writes the certificate of a test server, which vouches for itself, to a file.
func authority(t *testing.T, s *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
