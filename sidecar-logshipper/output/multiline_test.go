package output

import (
	"bytes"
	"testing"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

func TestHTTP_AnObjectOfSeveralLinesIsOneLine(t *testing.T) {
	out := open(t, Config{HTTP: &JSONConfig{HTTPConfig: HTTPConfig{URL: "http://127.0.0.1:1"}}}).out
	c := chunkOf("{\"a\":\n1}")
	c.Ends = []int{len(c.Data)}
	nested := recordOf("m", record.Field{Name: "o", Kind: record.JSON, Value: []byte("{\"a\":\n1}")})
	for _, body := range [][]byte{[]byte(encode(out, c)), out.AppendRecord(nil, nested)} {
		if bytes.Count(body, []byte{'\n'}) != 1 {
			t.Errorf("%q", body)
		}
	}
}
