package output

import (
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

func TestMain(m *testing.M) {
	kittest.RegisterUpdate()
	kittest.Main(m, nil)
}

// testTime is 2026-11-24T09:26:40.999999000Z: a chunk of more than a KiB crosses into the next second.
const testTime = 1795512400_999999000

// chunkOf makes a chunk of one line for each argument.
func chunkOf(lines ...string) *record.Chunk {
	data := strings.Join(lines, "\n") + "\n"
	return &record.Chunk{
		Source: &record.Source{Path: "/var/log/app.log", Generation: 0xabc},
		Data:   []byte(data), Offset: 4096, Next: 4096 + int64(len(data)), Time: testTime,
	}
}

// recordOf makes a parsed record of message with fields.
func recordOf(message string, fields ...record.Field) *record.Record {
	r := &record.Record{}
	r.Reset(chunkOf(message), 0, len(message)+1)
	r.Level = "error"
	r.Fields = fields
	return r
}

func testEnv() Env {
	return Env{Secrets: conf.NewSecrets(), Labels: []record.Field{{Name: "pod", Value: []byte("web-1")}, {Name: "namespace", Value: []byte("shop")}}}
}

// encode is a whole body of one chunk.
func encode(e Encoder, c *record.Chunk) string {
	body, _ := e.AppendChunk(e.Begin(nil), c)
	return string(e.End(body))
}
