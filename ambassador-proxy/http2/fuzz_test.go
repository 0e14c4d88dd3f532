package http2

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// FuzzParser holds that frames are the same however the bytes arrive, and that a header block stays bounded.
func FuzzParser(f *testing.F) {
	f.Add(AppendSettings(nil, Setting{InitialWindowSize, 1}), uint8(3))
	f.Add(AppendData(AppendWindowUpdate(nil, 1, 5), 1, []byte("hello"), true), uint8(10))
	f.Add(FinishHeaders(append(BeginHeaders(nil), "block that goes on"...), 0, 1, false, 5), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		var whole, parts Parser
		at := 0
		for end := 0; at < len(b); {
			end = min(end+int(step)+1, len(b))
			got, n, err := parts.Next(b[at:end])
			if n == 0 && err == nil {
				if end == len(b) {
					return
				}
				continue
			}
			want, wantN, wantErr := whole.Next(b[at:])
			if (err == nil) != (wantErr == nil) || err != nil && *err != *wantErr {
				t.Fatalf("%v, and at once %v", err, wantErr)
			}
			if err != nil && err.Stream == 0 {
				return
			}
			if n != wantN || got.Type != want.Type || !bytes.Equal(got.Payload, want.Payload) || len(parts.block) > MaxBlockBytes+MinFrameBytes {
				t.Fatalf("%+v, and at once %+v", got, want)
			}
			if at += n; end < at {
				end = at
			}
		}
	})
}

// FuzzBlock holds that what a header block becomes is valid, and comes back the same from our encoder.
func FuzzBlock(f *testing.F) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, field := range fieldsOf(":method:GET", ":scheme:http", ":authority:a", ":path:/b?c", "cookie:d=e", "content-length:5") {
		_ = e.WriteField(field)
	}
	f.Add(block.Bytes())
	f.Add(AppendField(AppendStatus(nil, 200), "content-type", "text/plain"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fields, large, err := NewDecoder().Decode(nil, b, 64<<10)
		if err != nil || large {
			return
		}
		var again []byte
		for _, field := range fields {
			if field.Name != string(bytes.ToLower([]byte(field.Name))) {
				return // the encoder makes it lower
			}
			again = AppendField(again, field.Name, field.Value)
		}
		back, large, err := NewDecoder().Decode(nil, again, 64<<10)
		if err != nil || large || len(back) != len(fields) {
			t.Fatal(err, large, back, fields)
		}
		for i := range back {
			if back[i].Name != fields[i].Name || back[i].Value != fields[i].Value {
				t.Fatalf("%v became %v", fields[i], back[i])
			}
		}
		if m, fault := Request(fields); fault == "" {
			for _, s := range []string{m.Method, m.Scheme, m.Authority, m.Path} {
				if !isVisible(s) {
					t.Fatalf("%+v", m)
				}
			}
			if !m.valid() {
				t.Fatalf("%+v", m)
			}
		}
	})
}

func (m *Message) valid() bool {
	for _, f := range m.Fields {
		if f.Name == "" || bytes.ContainsAny([]byte(f.Name), "ABCDEFGHIJKLMNOPQRSTUVWXYZ: \r\n\x00") || bytes.ContainsAny([]byte(f.Value), "\r\n\x00") {
			return false
		}
	}
	return true
}
