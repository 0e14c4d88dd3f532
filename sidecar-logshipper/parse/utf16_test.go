package parse

import (
	"encoding/binary"
	"slices"
	"testing"
	"unicode/utf16"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// wide is text in UTF-16.
func wide(text string, order binary.AppendByteOrder) (raw []byte) {
	for _, unit := range utf16.Encode([]rune(text)) {
		raw = order.AppendUint16(raw, unit)
	}
	return raw
}

func TestUTF16_LinesAndGroupsHoldEveryCharacter(t *testing.T) {
	for _, row := range []struct {
		text          string
		lines, groups []string
	}{
		{"\ufeffone \u0a0a\u0d0a\r\n\u0100two\u0d0a\n  at x\u0a00\nthree 😀\n",
			[]string{"one \u0a0a\u0d0a", "\u0100two\u0d0a", "  at x\u0a00", "three 😀"}, []string{"one \u0a0a\u0d0a", "\u0100two\u0d0a\n  at x\u0a00", "three 😀"}},
		{"one\n two \u0100", []string{"one", " two \u0100"}, []string{"one\n two \u0100"}},
	} {
		for encoding, order := range map[string]binary.AppendByteOrder{"utf-16le": binary.LittleEndian, "utf-16be": binary.BigEndian} {
			data := wide(row.text, order)
			if got := messages(t, Config{Format: "raw", Encoding: encoding}, data); !slices.Equal(got, row.lines) {
				t.Errorf("%s:\ngot  %q\nwant %q", encoding, got, row.lines)
			}
			if got := messages(t, Config{Format: "raw", Encoding: encoding, Multiline: &Multiline{Preset: "indent"}}, data); !slices.Equal(got, row.groups) {
				t.Errorf("%s, joined:\ngot  %q\nwant %q", encoding, got, row.groups)
			}
		}
	}
}

// messages are those of a whole file.
func messages(t *testing.T, c Config, data []byte) (list []string) {
	t.Helper()
	framer, stage, err := New(c, true)
	if err != nil {
		t.Fatal(err)
	}
	ends, n := framer.Frame(nil, data, true)
	if rest := data[n:]; len(rest) > 0 && !framer.(interface{ Padding([]byte) bool }).Padding(rest) {
		t.Errorf("%q is left", rest)
	}
	chunk := &record.Chunk{Source: &record.Source{}, Data: data[:n], Ends: ends}
	var r record.Record
	for start, end := range chunk.Records() {
		r.Reset(chunk, start, end)
		stage.Apply(&r)
		list = append(list, string(r.Message))
	}
	return list
}
