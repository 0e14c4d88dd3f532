package http2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

func fieldsOf(lines ...string) (list []hpack.HeaderField) {
	for _, line := range lines {
		at := strings.Index(line[1:], ":") + 1
		list = append(list, hpack.HeaderField{Name: line[:at], Value: line[at+1:]})
	}
	return list
}

func TestRequest_MalformedOnesAreRefused(t *testing.T) {
	good := []string{":method:GET", ":scheme:http", ":authority:a", ":path:/"}
	for _, row := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"good", good, ""},
		{"host instead of :authority", []string{":method:GET", ":scheme:http", ":path:/", "host:a"}, ""},
		{"the same host beside it", append(good[:4:4], "host:a"), ""},
		{"another host", append(good[:4:4], "host:b"), "host beside another authority"},
		{"two hosts", []string{":method:GET", ":scheme:http", ":path:/", "host:a", "host:b"}, "host beside another authority"},
		{"no method", []string{":scheme:http", ":path:/"}, "bad or no :method"},
		{"no scheme", []string{":method:GET", ":path:/"}, "no :scheme or no :path"},
		{"no path", []string{":method:GET", ":scheme:http"}, "no :scheme or no :path"},
		{"empty path", []string{":method:GET", ":scheme:http", ":path:"}, "pseudo field empty or twice"},
		{"path twice", append(good[:4:4], ":path:/"), "pseudo field empty or twice"},
		{"relative path", []string{":method:GET", ":scheme:http", ":path:a"}, "bad :path"},
		{"space in the path", []string{":method:GET", ":scheme:http", ":path:/ HTTP/1.1"}, "bad :path"},
		{"fragment", []string{":method:GET", ":scheme:http", ":path:/#a"}, "bad :path"},
		{"asterisk", []string{":method:OPTIONS", ":scheme:http", ":path:*"}, ""},
		{"asterisk of GET", []string{":method:GET", ":scheme:http", ":path:*"}, "bad :path"},
		{"line end in the method", []string{":method:GET\r\n", ":scheme:http", ":path:/"}, "bad or no :method"},
		{"line end in the authority", []string{":method:GET", ":scheme:http", ":authority:a\r\nx", ":path:/"}, "bad :authority"},
		{"unknown pseudo field", append(good[:4:4], ":protocol:websocket"), "unknown pseudo field"},
		{"status in a request", append(good[:4:4], ":status:200"), "unknown pseudo field"},
		{"late pseudo field", append(good[:4:4], "a:b", ":path:/"), "pseudo field after others"},
		{"upper case", append(good[:4:4], "Accept:a"), "bad field name"},
		{"space in a name", append(good[:4:4], "a b:c"), "bad field name"},
		{"line feed", append(good[:4:4], "a:b\nc"), "bad field value"},
		{"carriage return", append(good[:4:4], "a:b\rc"), "bad field value"},
		{"NUL", append(good[:4:4], "a:b\x00c"), "bad field value"},
		{"space before a value", append(good[:4:4], "a: b"), "bad field value"},
		{"space after a value", append(good[:4:4], "a:b\t"), "bad field value"},
		{"connection", append(good[:4:4], "connection:close"), "field of a connection"},
		{"keep-alive", append(good[:4:4], "keep-alive:timeout=1"), "field of a connection"},
		{"proxy-connection", append(good[:4:4], "proxy-connection:close"), "field of a connection"},
		{"transfer-encoding", append(good[:4:4], "transfer-encoding:chunked"), "field of a connection"},
		{"upgrade", append(good[:4:4], "upgrade:websocket"), "field of a connection"},
		{"te: trailers", append(good[:4:4], "te:trailers"), ""},
		{"te: gzip", append(good[:4:4], "te:gzip"), "te other than trailers"},
		{"length", append(good[:4:4], "content-length:12"), ""},
		{"two lengths", append(good[:4:4], "content-length:1", "content-length:1"), "bad content-length"},
		{"signed length", append(good[:4:4], "content-length:+1"), "bad content-length"},
		{"CONNECT", []string{":method:CONNECT", ":authority:a:1"}, ""},
		{"CONNECT with a path", []string{":method:CONNECT", ":authority:a:1", ":path:/"}, "CONNECT with other pseudo fields"},
	} {
		if m, fault := Request(fieldsOf(row.fields...)); fault != row.want {
			t.Errorf("%s: %q, want %q (%+v)", row.name, fault, row.want, m)
		}
	}
}

func TestResponse_MalformedOnesAreRefused(t *testing.T) {
	for _, row := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"good", []string{":status:200", "a:b"}, ""},
		{"none", nil, "no :status"},
		{"late status", []string{"a:b", ":status:200"}, "no :status"},
		{"two", []string{":status:200", ":status:200"}, "pseudo field after others"},
		{"four digits", []string{":status:2000"}, "bad :status"},
		{"letters", []string{":status:2a0"}, "bad :status"},
		{"switching protocols", []string{":status:101"}, "bad :status"},
		{"connection", []string{":status:200", "connection:close"}, "field of a connection"},
		{"host", []string{":status:200", "host:a b"}, ""},
	} {
		if _, fault := Response(fieldsOf(row.fields...)); fault != row.want {
			t.Errorf("%s: %q, want %q", row.name, fault, row.want)
		}
	}
}

func TestParser_FramesThatBreakTheRulesEndTheRightThing(t *testing.T) {
	priority := []byte{0, 0, 0, 1, 0}
	for _, row := range []struct {
		name   string
		frames []byte
		code   Code
		stream uint32
	}{
		{"DATA without a stream", AppendData(nil, 0, nil, true), ProtocolError, 0},
		{"more padding than payload", append(AppendHeader(nil, 2, Data, Padded, 1), 2, 0), ProtocolError, 0},
		{"padding without its length", AppendHeader(nil, 0, Data, Padded, 1), FrameSizeError, 0},
		{"too large", AppendHeader(nil, MinFrameBytes+1, Data, 0, 1), FrameSizeError, 0},
		{"HEADERS without a stream", AppendHeader(nil, 0, Headers, EndHeaders, 0), ProtocolError, 0},
		{"HEADERS that depend on themselves", append(AppendHeader(nil, 5, Headers, EndHeaders|HasPriority, 1), priority...), ProtocolError, 1},
		{"PRIORITY too short", AppendHeader(nil, 0, Priority, 0, 1), FrameSizeError, 1},
		{"PRIORITY without a stream", append(AppendHeader(nil, 5, Priority, 0, 0), priority...), ProtocolError, 0},
		{"RST_STREAM without a stream", AppendReset(nil, 0, Cancel), ProtocolError, 0},
		{"RST_STREAM too short", AppendHeader(nil, 0, RSTStream, 0, 1), FrameSizeError, 0},
		{"SETTINGS of a stream", AppendHeader(nil, 0, Settings, 0, 1), ProtocolError, 0},
		{"SETTINGS of five bytes", append(AppendHeader(nil, 5, Settings, 0, 0), priority...), FrameSizeError, 0},
		{"acknowledgement with settings", append(AppendHeader(nil, 6, Settings, Ack, 0), 0, 1, 0, 0, 0, 0), FrameSizeError, 0},
		{"PUSH_PROMISE", AppendHeader(nil, 0, PushPromise, 0, 1), ProtocolError, 0},
		{"PING of a stream", append(AppendHeader(nil, 8, Ping, 0, 1), make([]byte, 8)...), ProtocolError, 0},
		{"PING too short", AppendHeader(nil, 0, Ping, 0, 0), FrameSizeError, 0},
		{"GOAWAY of a stream", append(AppendHeader(nil, 8, GoAway, 0, 1), make([]byte, 8)...), ProtocolError, 0},
		{"GOAWAY too short", AppendHeader(nil, 0, GoAway, 0, 0), FrameSizeError, 0},
		{"WINDOW_UPDATE of 0", AppendWindowUpdate(nil, 0, 0), ProtocolError, 0},
		{"WINDOW_UPDATE of 0 of a stream", AppendWindowUpdate(nil, 1, 0), ProtocolError, 1},
		{"WINDOW_UPDATE too short", AppendHeader(nil, 0, WindowUpdate, 0, 0), FrameSizeError, 0},
		{"CONTINUATION of nothing", AppendHeader(nil, 0, Continuation, EndHeaders, 1), ProtocolError, 0},
		{"interrupted header block", AppendData(AppendHeader(nil, 0, Headers, 0, 1), 1, nil, true), ProtocolError, 0},
		{"CONTINUATION of another stream", AppendHeader(AppendHeader(nil, 0, Headers, 0, 1), 0, Continuation, EndHeaders, 3), ProtocolError, 0},
		{"endless header block", append(AppendHeader(nil, 0, Headers, 0, 1), bytes.Repeat(AppendHeader(nil, 0, Continuation, 0, 1), maxContinuation+1)...), EnhanceYourCalm, 0},
	} {
		p := Parser{Server: true}
		var err *Error
		for b := row.frames; len(b) > 0 && err == nil; {
			var n int
			if _, n, err = p.Next(b); n == 0 && err == nil {
				break
			}
			b = b[n:]
		}
		if err == nil || err.Code != row.code || err.Stream != row.stream {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestAppendHeaders_LargeBlocksContinueAndComeBackWhole(t *testing.T) {
	for _, size := range []int{0, 1, MinFrameBytes, MinFrameBytes + 1, 3*MinFrameBytes + 5} {
		block := bytes.Repeat([]byte{'x'}, size)
		b := append(BeginHeaders([]byte("before")), block...)
		b = FinishHeaders(b, len("before"), 7, true, MinFrameBytes)
		var p Parser
		var f Frame
		for b = b[len("before"):]; len(b) > 0; {
			var n int
			var err *Error
			if f, n, err = p.Next(b); err != nil || n == 0 {
				t.Fatal(n, err)
			}
			b = b[n:]
		}
		if f.Type != Headers || f.Stream != 7 || !f.EndsStream() || !bytes.Equal(f.Payload, block) {
			t.Errorf("%d bytes: %v %d", size, f.Type, len(f.Payload))
		}
	}
}

func TestAppendField_IsWhatEveryDecoderReads(t *testing.T) {
	var block []byte
	var want []hpack.HeaderField
	for _, status := range []int{100, 103, 200, 204, 206, 304, 400, 404, 418, 500, 503} {
		block, want = AppendStatus(block, status), append(want, hpack.HeaderField{Name: ":status", Value: fmt.Sprint(status)})
	}
	names := []string{"x-some", "a", strings.Repeat("n", 200)}
	names = append(names, strings.Fields(`:authority :method :path :scheme accept-charset accept-encoding accept-language accept-ranges
		accept access-control-allow-origin age allow authorization cache-control content-disposition content-encoding content-language
		content-length content-location content-range content-type cookie date etag expect expires from host if-match
		if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards proxy-authenticate
		proxy-authorization range referer refresh retry-after server set-cookie strict-transport-security transfer-encoding
		user-agent vary via www-authenticate`)...)
	for i, name := range names {
		value := strings.Repeat("v", i*7)
		block, want = AppendField(block, strings.ToUpper(name), value), append(want, hpack.HeaderField{Name: name, Value: value})
		block, want = AppendSensitive(block, []byte(name), []byte(value)), append(want, hpack.HeaderField{Name: name, Value: value, Sensitive: true})
	}
	got, err := hpack.NewDecoder(4096, nil).DecodeFull(block)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v\n%v\n%v", err, got, want)
	}
}

func TestDecoder_TooManyFieldsKeepTheTableInStep(t *testing.T) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range fieldsOf("a:"+strings.Repeat("x", 500), "b:second", "c:third") {
		_ = e.WriteField(f)
	}
	d := NewDecoder()
	if _, large, err := d.Decode(nil, block.Bytes(), 100); !large || err != nil {
		t.Fatal(large, err)
	}
	block.Reset()
	_ = e.WriteField(hpack.HeaderField{Name: "c", Value: "third"})
	fields, large, err := d.Decode(nil, block.Bytes(), 100)
	if large || err != nil || len(fields) != 1 || fields[0].Value != "third" {
		t.Error(fields, large, err)
	}
	if _, _, err := d.Decode(nil, []byte{0xff}, 100); err == nil || err.Code != CompressionError {
		t.Error(err)
	}
}

func TestSettings_ThatBreakTheRulesAreRefused(t *testing.T) {
	for _, row := range []struct {
		s    Setting
		code Code
	}{
		{Setting{EnablePush, 2}, ProtocolError},
		{Setting{InitialWindowSize, 1 << 31}, FlowControlError},
		{Setting{MaxFrameSize, 1<<14 - 1}, ProtocolError},
		{Setting{MaxFrameSize, 1 << 24}, ProtocolError},
		{Setting{MaxFrameSize, 1<<24 - 1}, NoError},
		{Setting{99, 1}, NoError},
	} {
		a := Initially()
		err := a.Apply(AppendSettings(nil, row.s)[HeaderBytes:])
		if (err == nil) != (row.code == NoError) || err != nil && err.Code != row.code {
			t.Errorf("%v: %v", row.s, err)
		}
	}
}
