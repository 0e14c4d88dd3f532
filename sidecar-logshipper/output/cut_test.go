package output

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
	"testing"

	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

func TestTruncatedLine_SaysSoWithoutBeingParsed(t *testing.T) {
	for _, text := range []string{"long\n", `{"a":{"b":1}` + "\n"} { // an object that was cut may still end like one
		c := &record.Chunk{Source: &record.Source{Path: "/a.log"}, Data: []byte(text), Truncated: true}
		objects := decodeLines(t, encode(jsonl(t), c))
		if len(objects) != 1 || objects[0]["truncated"] != true || objects[0]["message"] != strings.TrimSpace(text) {
			t.Errorf("as JSON: %v", objects)
		}
		v, err := unpackValue(bufio.NewReader(strings.NewReader(encode(&packedEvents{}, c))))
		if err != nil || v.([]any)[1].(map[string]any)["truncated"] != true {
			t.Errorf("as Forward entry: %v %v", v, err)
		}
		var data logs.LogsData
		if err := proto.Unmarshal([]byte(encode(&OTLP{}, c)), &data); err != nil {
			t.Fatal(err)
		}
		r := data.ResourceLogs[0].ScopeLogs[0].LogRecords[0]
		if r.Attributes[0].Key != "truncated" || !r.Attributes[0].Value.GetBoolValue() {
			t.Errorf("as OTLP: %v", r)
		}
	}
}

func TestSplunk_NoEventIsBlank(t *testing.T) {
	s, err := NewSplunk(SplunkConfig{HTTPConfig: HTTPConfig{URL: "http://127.0.0.1:1"}}, Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, text := range []string{"\na\n\n{\"b\":1}\n\r\n", "\r\na\n\r\n{\"b\":1}\n\n"} {
		c := &record.Chunk{Source: &record.Source{Path: "/a.log"}, Data: []byte(text)}
		raw := encode(s, c)
		var shaped []byte
		for start, end := range c.Records() {
			var r record.Record
			r.Reset(c, start, end)
			shaped = s.AppendRecord(shaped, &r)
		}
		for _, body := range []string{raw, string(shaped)} {
			if n := bytes.Count([]byte(body), []byte(`"event":{"message":""}`)); n != 3 || strings.Contains(body, `"event":""`) {
				t.Errorf("%d of 3 empty lines are sent as an object:\n%s", n, body)
			}
		}
		if lines := strings.Split(strings.TrimSpace(raw), "\n"); !slices.ContainsFunc(lines, func(l string) bool { return strings.HasSuffix(l, `"event":{"b":1}}`) }) {
			t.Errorf("an object does not pass as it was written:\n%s", raw)
		}
	}
}
