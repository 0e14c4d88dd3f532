package parse

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

func TestMain(m *testing.M) { kittest.Main(m, nil) }

// readAt is when the records of the tests were read: times without a year are near it.
var readAt = time.Date(2026, 11, 24, 9, 26, 40, 0, time.UTC)

func parsed(t testing.TB, c Config, raw string) *record.Record {
	t.Helper()
	_, stage, err := New(c, true)
	if err != nil {
		t.Fatal(err)
	}
	r := &record.Record{}
	r.Reset(&record.Chunk{Source: &record.Source{}, Data: []byte(raw), Time: readAt.UnixNano()}, 0, len(raw))
	if drop := stage.Apply(r); drop != "" {
		t.Fatalf("dropped: %s", drop)
	}
	return r
}

// shown is a record on one line: time level "message" field=value…, strings quoted.
func shown(r *record.Record) string {
	var b strings.Builder
	if r.OwnTime {
		b.WriteString(time.Unix(0, r.Time).UTC().Format(time.RFC3339Nano))
	}
	fmt.Fprintf(&b, "|%s|%s|", r.Level, r.Message)
	for _, f := range r.Fields {
		if f.Kind == record.String {
			fmt.Fprintf(&b, " %s=%q", f.Name, f.Value)
		} else {
			fmt.Fprintf(&b, " %s=%s", f.Name, f.Value)
		}
	}
	return b.String()
}

func TestParse_EachFormatFindsTimeLevelMessageAndFields(t *testing.T) {
	for _, row := range []struct{ name, format, raw, want string }{
		{"json", "json", `{"time":"2026-11-24T09:26:40.5Z","level":"WARN","msg":"caf\u00e9 \ud83d\ude00","n":1.5e3,"ok":true,"no":null,"a":[1,{"b":"}"}]}`,
			`2026-11-24T09:26:40.5Z|warn|café 😀| n=1.5e3 ok=true no=null a=[1,{"b":"}"}]`},
		{"json, pino", "json", `{"level":50,"time":1795512400123,"pid":7,"msg":"x"}`, `2026-11-24T09:26:40.123Z|error|x| pid=7`},
		{"json, zap", "json", `{"level":"info","ts":1795512400.1234567,"msg":"x"}`, `2026-11-24T09:26:40.1234567Z|info|x|`},
		{"logfmt", "logfmt", `ts=2026-11-24T10:26:40+01:00 level=error msg="a \"b\"" n=7 zip=007 flag`, `2026-11-24T09:26:40Z|error|a "b"| n=7 zip="007" flag=true`},
		{"cri", "cri", `2026-11-24T09:26:40.123456789Z stderr F hello world`, `2026-11-24T09:26:40.123456789Z||hello world| stream="stderr"`},
		{"cri, partial", "cri", "2026-11-24T09:26:40Z stdout P hel\n2026-11-24T09:26:41Z stdout F lo", `2026-11-24T09:26:40Z||hello| stream="stdout"`},
		{"cri, json inside", "cri", `2026-11-24T09:26:40Z stdout F {"level":"info","msg":"x"}`, `2026-11-24T09:26:40Z|info|x| stream="stdout"`},
		{"docker", "docker", `{"log":"hello\n","stream":"stdout","time":"2026-11-24T09:26:40.1Z"}`, `2026-11-24T09:26:40.1Z||hello| stream="stdout"`},
		{"docker, partial", "docker", `{"log":"hel","stream":"stdout","time":"2026-11-24T09:26:40.1Z"}` + "\n" + `{"log":"lo\n","stream":"stdout","time":"2026-11-24T09:26:40.2Z"}`,
			`2026-11-24T09:26:40.2Z||hello| stream="stdout"`},
		{"combined", "combined", `10.0.0.7 - bob [24/Nov/2026:10:26:40 +0100] "GET /a?b=\"c\" HTTP/1.1" 404 12 "-" "curl/8"`,
			`2026-11-24T09:26:40Z||10.0.0.7 - bob [24/Nov/2026:10:26:40 +0100] "GET /a?b=\"c\" HTTP/1.1" 404 12 "-" "curl/8"| client="10.0.0.7" user="bob" method="GET" path="/a?b=\\\"c\\\"" protocol="HTTP/1.1" status=404 bytes=12 agent="curl/8"`},
		{"common", "combined", `::1 - - [24/Nov/2026:09:26:40 +0000] "-" 408 -`, `2026-11-24T09:26:40Z||::1 - - [24/Nov/2026:09:26:40 +0000] "-" 408 -| client="::1" status=408`},
		{"syslog 5424", "syslog", `<165>1 2026-11-24T09:26:40.003Z host app 42 ID47 [ex@1 k="a\]\"" z="2"][y@2] ` + "\ufeffhi", `2026-11-24T09:26:40.003Z|notice|hi| host="host" app="app" pid="42" msgid="ID47" ex@1.k="a]\"" ex@1.z="2" facility=20`},
		{"syslog 3164", "syslog", `<34>Nov  4 22:14:15 mymachine su[12]: 'su root' failed`, `2026-11-04T22:14:15Z|critical|'su root' failed| host="mymachine" app="su" pid="12" facility=4`},
		{"syslog file", "syslog", `Nov 24 09:26:40 host CRON[7]: (root) CMD`, `2026-11-24T09:26:40Z||(root) CMD| host="host" app="CRON" pid="7"`},
		{"syslog, of its own machine", "syslog", `<13>Nov 24 09:26:40 su[12]: 'su root' failed`, `2026-11-24T09:26:40Z|notice|'su root' failed| app="su" pid="12" facility=1`},
		{"json after a space", "json", ` {"a":1}`, `||| a=1`},
		{"cri, json without a message inside", "cri", `2026-11-24T09:26:40Z stdout F {"a":1}`, `2026-11-24T09:26:40Z||| stream="stdout" a=1`},
		{"docker, nothing but the log", "docker", `{"log":"hello\n"}`, `||hello|`},
		{"klog", "klog", `E1124 09:26:40.123456       1 reflector.go:147] failed to list`, `2026-11-24T09:26:40.123456Z|error|failed to list| thread=1 caller="reflector.go:147"`},
		{"auto, text", "auto", `just text`, `||just text|`},
		{"auto, broken json", "auto", `{"a":1,}`, `||{"a":1,}|`},
		{"auto, json", "auto", `{"msg":"x","a":1}`, `||x| a=1`},
		{"auto, klog", "auto", `I1124 09:26:40.000001 7 a.go:1] x`, `2026-11-24T09:26:40.000001Z|info|x| thread=7 caller="a.go:1"`},
		{"auto, cri", "auto", `2026-11-24T09:26:40Z stdout F x`, `2026-11-24T09:26:40Z||x| stream="stdout"`},
		{"logfmt, empty and odd", "logfmt", `a= b="" é=ü x.y=1e400 neg=-0.5 msg=hi`, `||hi| a="" b="" é="ü" x.y="1e400" neg=-0.5`},
		{"logfmt, what is a number by its form only", "logfmt", `commit=12e4567 short=5e12 id=12345678901234567890 big=9223372036854775807 f=1e+06 g=1.5e-05 h=1e+400`,
			`||commit=12e4567 short=5e12 id=12345678901234567890 big=9223372036854775807 f=1e+06 g=1.5e-05 h=1e+400| commit="12e4567" short="5e12" id="12345678901234567890" big=9223372036854775807 f=1e+06 g=1.5e-05 h="1e+400"`},
		{"logfmt, quoted by slog", "logfmt", `level=INFO msg="\x1b[31mred\a" next="a\tb" n=1`, "|info|\x1b[31mred\a| next=\"a\\tb\" n=1"},
		{"cri, klog inside", "cri", `2026-11-24T09:26:40.5Z stderr F W1123 01:02:03.000001 7 a.go:1] x`, `2026-11-24T09:26:40.5Z|warn|x| stream="stderr" thread=7 caller="a.go:1"`},
		{"cri, text inside", "cri", `2026-11-24T09:26:40.5Z stderr F <13>1 - - [`, `2026-11-24T09:26:40.5Z||<13>1 - - [| stream="stderr"`},
		{"cri, no time", "auto", `12 stdout F x`, `||12 stdout F x|`},
		{"docker found, json inside", "auto", `{"log":"{\"level\":\"info\",\"msg\":\"x\"}\n","stream":"stderr","time":"2026-11-24T09:26:40Z"}`, `2026-11-24T09:26:40Z|info|x| stream="stderr"`},
		{"docker, another time inside", "docker", `{"log":"{\"time\":\"2020-01-01T00:00:00Z\",\"msg\":\"x\"}\n","stream":"stderr","time":"2026-11-24T09:26:40Z"}`, `2026-11-24T09:26:40Z||x| stream="stderr" time="2020-01-01T00:00:00Z"`},
		{"logfmt, unterminated", "logfmt", `a=1 msg="open`, `||a=1 msg="open|`},
		{"cri, empty line", "cri", `2026-11-24T09:26:40Z stdout F `, `2026-11-24T09:26:40Z||| stream="stdout"`},
		{"cri, tags", "cri", `2026-11-24T09:26:40Z stdout F:x:y hello`, `2026-11-24T09:26:40Z||hello| stream="stdout"`},
		{"cri, another stream", "cri", `2026-11-24T09:26:40Z stdlog F hello`, `||2026-11-24T09:26:40Z stdlog F hello|`},
		{"docker, json inside", "docker", `{"log":"{\"level\":\"info\",\"msg\":\"x\"}\n","stream":"stderr","time":"2026-11-24T09:26:40Z"}`, `2026-11-24T09:26:40Z|info|x| stream="stderr"`},
		{"combined, IPv6 and a broken request", "combined", `2001:db8::1 - - [24/Nov/2026:09:26:40 +0000] "\x16\x03" 400 0 "-" "-"`, `2026-11-24T09:26:40Z||2001:db8::1 - - [24/Nov/2026:09:26:40 +0000] "\x16\x03" 400 0 "-" "-"| client="2001:db8::1" status=400 bytes=0`},
		{"syslog 5424, all nil", "syslog", `<14>1 - - - - - -`, `|info|| facility=1`},
		{"syslog 5424, broken data", "syslog", `<14>1 - - - - - [a b="c] x`, `||<14>1 - - - - - [a b="c] x|`},
		{"syslog, no such priority", "syslog", `<192>1 - - - - - - x`, `||<192>1 - - - - - - x|`},
		{"klog, fatal", "klog", `F0102 23:59:59.000001   12345 main.go:1] dead`, `2027-01-02T23:59:59.000001Z|fatal|dead| thread=12345 caller="main.go:1"`},
		{"not in its format", "klog", `anything`, `||anything|`},
		{"time that is none stays", "json", `{"time":"soon","msg":"x"}`, `||x| time="soon"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := shown(parsed(t, Config{Format: row.format}, row.raw)); got != row.want {
				t.Errorf("\ngot  %s\nwant %s", got, row.want)
			}
		})
	}
}

func TestParse_ATimeThatIsConfiguredWinsOverTheContainers(t *testing.T) {
	c := Config{Timestamp: Timestamp{Field: "at", Layout: "%Y-%m-%d %H:%M"}}
	for format, raw := range map[string]string{
		"cri":    `2026-11-24T09:26:40Z stdout F {"at":"2020-01-02 03:04","msg":"x"}`,
		"docker": `{"log":"{\"at\":\"2020-01-02 03:04\",\"msg\":\"x\"}\n","stream":"stdout","time":"2026-11-24T09:26:40Z"}`,
	} {
		c.Format = format
		if got, want := shown(parsed(t, c, raw)), `2020-01-02T03:04:00Z||x| stream="stdout"`; got != want {
			t.Errorf("%s: got %s, want %s", format, got, want)
		}
		without := strings.Replace(raw, "2020-01-02 03:04", "?", 1)
		if got, want := shown(parsed(t, c, without)), `2026-11-24T09:26:40Z||x| stream="stdout" at="?"`; got != want {
			t.Errorf("%s: got %s, want %s", format, got, want)
		}
	}
}

func TestParse_NamedGroupsOfARegularExpressionAreFields(t *testing.T) {
	c := Config{Format: "regex", Pattern: `^(?P<time>\S+) \[(?P<level>\w+)\] (?P<message>.*) took (?P<ms>\d+)ms$`}
	want := `2026-11-24T09:26:40Z|warn|query took long and| ms=12`
	if got := shown(parsed(t, c, "2026-11-24T09:26:40Z [WARN] query took long and took 12ms")); got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
}

func TestParse_TimestampsOfTheUsualLayoutsAndZones(t *testing.T) {
	const want = "2026-11-24T09:26:40.123Z"
	for _, row := range []struct{ layout, zone, text string }{
		{"", "", "2026-11-24T09:26:40.123Z"}, {"", "", "2026-11-24 09:26:40,123"}, {"", "", "2026-11-24T10:26:40.123+0100"},
		{"", "+01:00", "2026-11-24 10:26:40.123"}, {"", "", "2026/11/24 09:26:40.123"}, {"", "", "1795512400.123"}, {"", "", "1795512400123"},
		{"", "", "1795512400123000"}, {"", "", "1795512400123000000"}, {"unix_ms", "", "1795512400123"}, {"unix", "", "1795512400.123"},
		{"%d.%m.%Y %H:%M:%S.%L", "", "24.11.2026 09:26:40.123"}, {"02 Jan 06 15:04:05.000", "", "24 Nov 26 09:26:40.123"},
		{"Jan _2 15:04:05.000", "", "Nov 24 09:26:40.123"}, {"rfc3339", "", "2026-11-24T09:26:40.123Z"},
		{"", "+01:00", "2026-11-24 09:26:40.123 UTC"}, {"", "", "2026-11-24 09:26:40.123 GMT"}, {"", "+05:30", "2026-11-24T09:26:40.123Z"},
		{"", "-08:00", "2026-11-24 01:26:40.123"}, {"", "", "2026-11-24 14:56:40.123 +0530"}, {"unix_us", "", "1795512400123000"}, {"unix_ns", "", "1795512400123000000"},
		{"%Y-%m-%dT%H:%M:%S.%L%z", "", "2026-11-24T10:26:40.123+0100"}, {"%b %e %H:%M:%S.%L", "", "Nov 24 09:26:40.123"},
	} {
		loc, err := zone(row.zone)
		if err != nil {
			t.Fatal(err)
		}
		nano, ok := newClock(row.layout, loc).parse([]byte(row.text), readAt.UnixNano())
		if got := time.Unix(0, nano).UTC().Format(time.RFC3339Nano); !ok || got != want {
			t.Errorf("layout %q zone %q: %q is %s", row.layout, row.zone, row.text, got)
		}
	}
}

func TestParse_ATimeThatIsNotKnownIsNotGuessed(t *testing.T) {
	for _, text := range []string{"Tue, 24 Nov 2026 09:26:40 CET", "Tue Nov 24 09:26:40 PST 2026", "2026-11-24 09:26:40 EST", "2026-13-01T00:00:00Z", "24/11/2026", "12345", "-1795512400", "1795512400.1.2", strings.Repeat("1", 65)} {
		if nano, ok := newClock("", time.UTC).parse([]byte(text), readAt.UnixNano()); ok {
			t.Errorf("%q is %s", text, time.Unix(0, nano).UTC())
		}
	}
	for text, want := range map[string]string{"Tue, 24 Nov 2026 09:26:40 GMT": "2026-11-24T09:26:40Z", "Tue Nov 24 09:26:40 UTC 2026": "2026-11-24T09:26:40Z"} {
		if nano, ok := newClock("", time.UTC).parse([]byte(text), readAt.UnixNano()); !ok || time.Unix(0, nano).UTC().Format(time.RFC3339) != want {
			t.Errorf("%q is %s", text, time.Unix(0, nano).UTC())
		}
	}
}

func TestParse_ATimeWithoutAYearIsTheOneNextToWhenItWasRead(t *testing.T) {
	for _, row := range []struct{ read, text, want string }{
		{"2027-01-01T00:00:05Z", "Dec 31 23:59:59", "2026-12-31T23:59:59Z"},
		{"2026-12-31T23:59:59Z", "Jan  1 00:00:01", "2027-01-01T00:00:01Z"},
		{"2026-06-15T12:00:00Z", "Jun 15 11:59:59", "2026-06-15T11:59:59Z"},
		{"2028-03-01T00:00:00Z", "Feb 29 12:00:00", "2028-02-29T12:00:00Z"},
	} {
		near, err := time.Parse(time.RFC3339, row.read)
		if err != nil {
			t.Fatal(err)
		}
		nano, ok := parseYearless([]byte(row.text), "Jan _2 15:04:05", near.UnixNano(), time.UTC)
		if got := time.Unix(0, nano).UTC().Format(time.RFC3339); !ok || got != row.want {
			t.Errorf("%s read at %s is %s, want %s", row.text, row.read, got, row.want)
		}
	}
}

func TestParse_AByteOrderMarkIsNoPartOfTheFirstRecord(t *testing.T) {
	if got := shown(parsed(t, Config{Format: "json"}, "\ufeff"+`{"msg":"x"}`)); got != "||x|" {
		t.Error(got)
	}
}

func TestParse_EncodingsBecomeUTF8(t *testing.T) {
	for encoding, raw := range map[string]string{
		"latin1":       "caf\xe9",
		"windows-1252": "caf\xe9",
		"utf-16le":     "\x00c\x00a\x00f\x00\xe9\x00\n",
		"utf-16be":     "\x00c\x00a\x00f\x00\xe9\x00\n",
	} {
		if r := parsed(t, Config{Format: "raw", Encoding: encoding}, raw); string(r.Message) != "café" {
			t.Errorf("%s: %q", encoding, r.Message)
		}
	}
	if r := parsed(t, Config{Format: "raw", Encoding: "windows-1252"}, "\x80 1"); string(r.Message) != "€ 1" {
		t.Errorf("%q", r.Message)
	}
}

func TestNew_NothingIsParsedUnlessSomebodyAsks(t *testing.T) {
	for format, want := range map[string]bool{"": false, "auto": false, "raw": false, "json": true} {
		framer, stage, err := New(Config{Format: format}, false)
		if err != nil || framer != nil || (stage != nil) != want {
			t.Errorf("format %q: framer %v, stage %v, %v", format, framer, stage, err)
		}
	}
}

func TestNumber_IsWhatJSONTakesForOne(t *testing.T) {
	const most = 6
	var try func(text []byte)
	try = func(text []byte) {
		if want := json.Valid(text); isNumber(text) != want {
			t.Errorf("%q is a number: %v, want %v", text, !want, want)
		}
		if len(text) < most {
			for _, c := range []byte("-+01.eE") {
				try(append(text, c))
			}
		}
	}
	try(make([]byte, 0, most))
}

func TestJSON_ARecordCostsNoAllocationForItsNames(t *testing.T) {
	_, stage, err := New(Config{Format: "json"}, true)
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(`{"ts":"2026-11-24T09:26:40.123Z","level":"info","msg":"an order was \"placed\"","user":"a","status":200,"ms":1.5,"ok":true,"none":null}`)
	r, chunk := &record.Record{}, &record.Chunk{Source: &record.Source{}, Data: line}
	if n := testing.AllocsPerRun(100, func() { r.Reset(chunk, 0, len(line)); stage.Apply(r) }); n > 2 {
		t.Errorf("%v allocations, want at most 2: for the time and the level", n)
	}
	if len(r.Fields) != 5 || r.Fields[0].Name != "user" {
		t.Errorf("got %v", r.Fields)
	}
}

// BenchmarkJSON guards what a record costs where its fields are wanted, in bytes of input.
func BenchmarkJSON(b *testing.B) {
	_, stage, err := New(Config{Format: "json"}, true)
	if err != nil {
		b.Fatal(err)
	}
	line := []byte(`{"ts":"2026-11-24T09:26:40.123Z","level":"info","msg":"request handled","path":"/api/v1/items","status":200,"duration_ms":12.7,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","ctx":{"ip":"10.0.1.2"}}`)
	r, chunk := &record.Record{}, &record.Chunk{Source: &record.Source{}, Data: line}
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(chunk, 0, len(line))
		stage.Apply(r)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":"\u00e9","b":[{}],"time":1}`, `a=b c="d"`, "<1>1 - - - - - [a b=\"c\"] x", "I1124 09:26:40.1 1 a] b", `{"log":"x","stream":"s","time":"t"}`, `h - - [x] "a b" 1 2 "`} {
		f.Add(seed)
	}
	var stages []record.Stage
	for _, format := range []string{"auto", "json", "logfmt", "cri", "docker", "combined", "syslog", "klog"} {
		_, stage, err := New(Config{Format: format}, true)
		if err != nil {
			f.Fatal(err)
		}
		stages = append(stages, stage)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, stage := range stages {
			r := &record.Record{}
			r.Reset(&record.Chunk{Source: &record.Source{}, Data: []byte(raw)}, 0, len(raw))
			stage.Apply(r)
			for _, field := range r.Fields {
				checkLiteral(t, field)
			}
		}
	})
}
