package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

func jsonl(t testing.TB) *HTTP {
	t.Helper()
	h, err := NewHTTP(JSONConfig{HTTPConfig: HTTPConfig{URL: "http://127.0.0.1:1"}, EventID: true}, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func decodeLines(t *testing.T, body string) (objects []map[string]any) {
	t.Helper()
	for line := range strings.Lines(body) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		objects = append(objects, o)
	}
	return objects
}

func TestJSONLines_EachLineOfTextBecomesAnObjectWithItsOriginAndID(t *testing.T) {
	got := encode(jsonl(t), chunkOf(`GET "/" \x`, "two\ttabs\r", ""))
	want := `{"time":"2026-11-24T09:26:40.999999000Z","event_id":"0000000000000abc0000000000001000","message":"GET \"/\" \\x","file":"/var/log/app.log","pod":"web-1","namespace":"shop"}
{"time":"2026-11-24T09:26:40.999999011Z","event_id":"0000000000000abc000000000000100b","message":"two\ttabs","file":"/var/log/app.log","pod":"web-1","namespace":"shop"}
{"time":"2026-11-24T09:26:40.999999021Z","event_id":"0000000000000abc0000000000001015","message":"","file":"/var/log/app.log","pod":"web-1","namespace":"shop"}
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestJSONLines_ObjectsPassAsTheAppWroteThemWithTheirOriginInFront(t *testing.T) {
	got := encode(jsonl(t), chunkOf(`{"level":"info","n":1.50}`, `{}`, `{broken`))
	lines := strings.Split(got, "\n")
	want := `{"event_id":"0000000000000abc0000000000001000","file":"/var/log/app.log","pod":"web-1","namespace":"shop","level":"info","n":1.50}`
	if lines[0] != want {
		t.Errorf("got  %s\nwant %s", lines[0], want)
	}
	for i, text := range []string{`{}`, `{broken`} {
		if o := decodeLines(t, lines[i+1]); o[0]["message"] != text {
			t.Errorf("%s is no object with members and became %v", text, o)
		}
	}
}

func TestJSONLines_TimesCrossASecondWithinAChunk(t *testing.T) {
	lines := strings.Split(strings.Repeat("0123456789abcde\n", 200), "\n")
	for i, o := range decodeLines(t, encode(jsonl(t), chunkOf(lines[:200]...))) {
		want := time.Unix(0, testTime+int64(i)*16).UTC().Format("2006-01-02T15:04:05.000000000Z")
		if o["time"] != want {
			t.Fatalf("record %d: time %v, want %s", i, o["time"], want)
		}
	}
}

func TestJSONLines_EachRecordHasTheTimeOfItsFirstByteWhereverAChunkStarts(t *testing.T) {
	h := jsonl(t)
	var lines []string
	for i := range 400 {
		lines = append(lines, strings.Repeat("x", i%97))
	}
	for _, at := range []int64{testTime, testTime + 5_000, testTime - 3e9, testTime - 1, 1} { // the clock may be set back
		c := chunkOf(lines...)
		c.Time = at
		for i, o := range decodeLines(t, encode(h, c)) {
			if want := time.Unix(0, at).UTC().Format("2006-01-02T15:04:05.000000000Z"); o["time"] != want {
				t.Fatalf("record %d of the chunk of %d: time %v, want %s", i, c.Time, o["time"], want)
			}
			at += int64(len(lines[i]) + 1)
		}
	}
}

func TestJSONLines_EscapesFindRoomInABufferOfAnySize(t *testing.T) {
	h := jsonl(t)
	for _, text := range []string{`"`, `\`, "\x01", `a"`, "a"} {
		for n := 0; n < 400; n += 7 {
			c := chunkOf(strings.Repeat(text, n), "and a line that is longer than a stride")
			for room := 0; room < 1500; room += 31 {
				body, _ := h.AppendChunk(make([]byte, 0, room), c)
				if o := decodeLines(t, string(body)); len(o) != 2 || o[0]["message"] != strings.Repeat(text, n) || o[0]["file"] == nil {
					t.Fatalf("%d times %q with room for %d bytes: %s", n, text, room, body)
				}
			}
		}
	}
}

func TestJSONLines_RecordsOfSeveralLinesKeepTheirNewlines(t *testing.T) {
	c := chunkOf("panic: x", "\tat y", "next")
	c.Ends = []int{len("panic: x\n\tat y\n"), len(c.Data)}
	got := decodeLines(t, encode(jsonl(t), c))
	if len(got) != 2 || got[0]["message"] != "panic: x\n\tat y" || got[1]["message"] != "next" {
		t.Errorf("got %v", got)
	}
}

func TestJSONLines_BytesThatAreNotUTF8AreRepaired(t *testing.T) {
	for _, o := range decodeLines(t, encode(jsonl(t), chunkOf("caf\xe9", "{\"a\":\"\xff\"}", "good"))) {
		for k, v := range o {
			if s, ok := v.(string); ok && !utf8.ValidString(s) {
				t.Errorf("%s is %q", k, s)
			}
		}
	}
}

func TestJSONLines_TheLastLineMayLackItsNewline(t *testing.T) {
	c := chunkOf("one", "two")
	c.Data = c.Data[:len(c.Data)-1]
	body, n := jsonl(t).AppendChunk(nil, c)
	if got := decodeLines(t, string(body)); n != 2 || got[1]["message"] != "two" {
		t.Errorf("%d records: %v", n, got)
	}
}

func TestJSONLines_AnArrayIsOneValue(t *testing.T) {
	h, err := NewHTTP(JSONConfig{HTTPConfig: HTTPConfig{URL: "http://127.0.0.1:1"}, Format: "array"}, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var got []map[string]any
	if err := json.Unmarshal([]byte(encode(h, chunkOf("a", `{"b":1}`, "c"))), &got); err != nil || len(got) != 3 {
		t.Errorf("%v: %v", err, got)
	}
}

func TestJSONLines_AFieldOfTheAppWinsOverALabel(t *testing.T) {
	h := jsonl(t)
	r := recordOf("hi", record.Field{Name: "pod", Value: []byte("mine")}, record.Field{Name: "n", Value: []byte("7"), Kind: record.Number})
	got := string(h.AppendRecord(nil, r))
	if strings.Count(got, `"pod"`) != 1 || !strings.Contains(got, `"pod":"mine","n":7`) || !strings.Contains(got, `"level":"error"`) {
		t.Error(got)
	}
	decodeLines(t, got)
}

// FuzzJSONLines: whatever the bytes of a file are, each record is one line of JSON whose message is the repaired line.
func FuzzJSONLines(f *testing.F) {
	f.Add([]byte("plain\n\"quoted\" \\ \x01\r\n{\"a\":1}\n\xff\xfe"))
	h := jsonl(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &record.Chunk{Source: &record.Source{}, Data: data, Time: testTime}
		body, n := h.AppendChunk(nil, c)
		if n != c.Count() || bytes.Count(body, []byte("\n")) != n {
			t.Fatalf("%d records, %d counted, %q", n, c.Count(), body)
		}
		lines := bytes.SplitAfter(body, []byte("\n"))
		for start, end := range c.Records() {
			line := lines[0]
			lines = lines[1:]
			if isObject(trimNewline(data[start:end])) {
				continue // as valid as the app wrote it
			}
			var o map[string]any
			if err := json.Unmarshal(line, &o); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			if want := string(repaired(trimNewline(data[start:end]))); o["message"] != want {
				t.Fatalf("message %q, want %q", o["message"], want)
			}
		}
	})
}

// combinedChunk is some 250 KiB of access log.
func combinedChunk() *record.Chunk {
	var b strings.Builder
	for i := range 1400 {
		fmt.Fprintf(&b, "10.12.%d.7 - - [24/Nov/2026:09:26:%02d +0000] \"GET /api/v1/items/%d?page=2 HTTP/1.1\" 200 %d \"https://shop.example/\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\"\n", i%250, i%60, i, 4000+i)
	}
	return chunkOf(strings.TrimSuffix(b.String(), "\n"))
}

// jsonChunk is some 250 KiB of JSON lines.
func jsonChunk() *record.Chunk {
	var b strings.Builder
	for i := range 900 {
		fmt.Fprintf(&b, "{\"time\":\"2026-11-24T09:26:40.%06dZ\",\"level\":\"info\",\"logger\":\"shop.cart\",\"message\":\"item added\",\"user\":\"u-%d\",\"request\":{\"method\":\"POST\",\"path\":\"/cart\",\"bytes\":%d},\"trace\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}\n", i, i, i*7)
	}
	return chunkOf(strings.TrimSuffix(b.String(), "\n"))
}
