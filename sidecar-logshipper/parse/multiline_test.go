package parse

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// checkLiteral fails for a field that would not be valid JSON where an encoder copies it.
func checkLiteral(t *testing.T, f record.Field) {
	t.Helper()
	if f.Kind != record.String && !json.Valid(f.Value) {
		t.Fatalf("field %q of kind %d is %q", f.Name, f.Kind, f.Value)
	}
}

func framerOf(t testing.TB, multiline string) record.Framer {
	t.Helper()
	var c Config
	if err := c.SetMultiline(multiline); err != nil {
		t.Fatal(err)
	}
	framer, _, err := New(c, false)
	if err != nil {
		t.Fatal(err)
	}
	return framer
}

// cases are the files of testdata/multiline: records with a marker line in front of each.
func cases(t testing.TB, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "multiline", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "-- record --\n")[1:]
}

func split(data []byte, ends []int) (records []string) {
	start := 0
	for _, end := range ends {
		records = append(records, string(data[start:end]))
		start = end
	}
	return records
}

func TestMultiline_StackTracesAreOneRecordEach(t *testing.T) {
	for name, multiline := range map[string]string{"java": "java", "python": "python", "go": "go", "indent": "indent", "start": `^\d{4}-\d\d-\d\d `} {
		want := cases(t, name)
		data := []byte(strings.Join(want, ""))
		ends, n := framerOf(t, multiline).Frame(nil, data, true)
		if got := split(data, ends); n != len(data) || !slices.Equal(got, want) {
			t.Errorf("%s: %d records:\n%s", name, len(got), strings.Join(got, "-- record --\n"))
		}
	}
}

func TestMultiline_WhereTheFileEndsForNowChangesNothing(t *testing.T) {
	for _, name := range []string{"java", "python", "go", "indent"} {
		want := cases(t, name)
		data := []byte(strings.Join(want, ""))
		framer := framerOf(t, name)
		var got []string
		from := 0
		for i := range data {
			if data[i] != '\n' {
				continue
			}
			part := data[from : i+1]
			ends, n := framer.Frame(nil, part, i == len(data)-1)
			got = append(got, split(part, ends)...)
			from += n
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: line by line the records are\n%s", name, strings.Join(got, "-- record --\n"))
		}
	}
}

func TestMultiline_ARecordEndsAtMaxLines(t *testing.T) {
	framer, err := newFramer(Config{Multiline: &Multiline{Preset: "indent", MaxLines: 3}})
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("a\n" + strings.Repeat(" b\n", 5))
	ends, _ := framer.Frame(nil, data, true)
	if want := []int{8, 17}; !slices.Equal(ends, want) {
		t.Errorf("ends %v, want %v", ends, want)
	}
}

func TestFramer_PartialLinesOfContainersAreOneRecord(t *testing.T) {
	for format, lines := range map[string][]string{
		"cri":    {"2026-11-24T09:26:40Z stdout P a", "2026-11-24T09:26:40Z stdout F b", "2026-11-24T09:26:40Z stdout F c"},
		"docker": {`{"log":"a","stream":"stdout","time":"x"}`, `{"log":"b\n","stream":"stdout","time":"x"}`, `{"log":"c\n","stream":"stdout","time":"x"}`},
	} {
		framer, _, err := New(Config{Format: format}, false)
		if err != nil {
			t.Fatal(err)
		}
		data := []byte(strings.Join(lines, "\n") + "\n")
		want := []int{len(lines[0]) + len(lines[1]) + 2, len(data)}
		if ends, n := framer.Frame(nil, data, false); !slices.Equal(ends, want) || n != len(data) {
			t.Errorf("%s: ends %v, want %v", format, ends, want)
		}
		first := len(lines[0]) + 1
		if ends, n := framer.Frame(nil, data[:first], false); len(ends) != 0 || n != 0 {
			t.Errorf("%s: a partial line alone gave %v", format, ends)
		}
	}
}

func TestFramer_TheOtherStreamOfAContainerIsNotMixedIn(t *testing.T) {
	for format, lines := range map[string][]string{
		"cri":    {"2026-11-24T09:26:40Z stdout P a", "2026-11-24T09:26:40Z stderr F x", "2026-11-24T09:26:40Z stdout P b", "2026-11-24T09:26:40Z stdout F c"},
		"docker": {`{"log":"a","stream":"stdout","time":"x"}`, `{"log":"x\n","stream":"stderr","time":"x"}`, `{"log":"b","stream":"stdout","time":"x"}`, `{"log":"c\n","stream":"stdout","time":"x"}`},
	} {
		framer, _, err := New(Config{Format: format}, false)
		if err != nil {
			t.Fatal(err)
		}
		data := []byte(strings.Join(lines, "\n") + "\n")
		ends, _ := framer.Frame(nil, data, false)
		want := []string{lines[0] + "\n", lines[1] + "\n", lines[2] + "\n" + lines[3] + "\n"}
		if got := split(data, ends); !slices.Equal(got, want) {
			t.Errorf("%s: records %q", format, got)
		}
	}
}

func TestFramer_ANewlineByteInsideAUTF16CharacterEndsNothing(t *testing.T) {
	framer, stage, err := New(Config{Format: "raw", Encoding: "utf-16le"}, false)
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("\xff\xfea\x00\x0a\x01\n\x00b\x00\n") // BOM a Ċ newline b newline, whose zero is not written yet
	ends, n := framer.Frame(nil, data, false)
	if n != len(data) || len(ends) != 2 {
		t.Fatalf("ends %v, %d bytes", ends, n)
	}
	var r record.Record
	r.Reset(&record.Chunk{Data: data, Ends: ends}, 0, ends[0])
	stage.Apply(&r)
	if string(r.Message) != "aĊ" {
		t.Errorf("%q", r.Message)
	}
}

func FuzzFramer(f *testing.F) {
	f.Add([]byte("panic: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1\nnext\n"), "go")
	f.Add([]byte("a\n b\nCaused by: c\n"), "java")
	f.Add([]byte("Traceback (most recent call last):\n  x\nE: y\n\nz\n"), "python")
	f.Fuzz(func(t *testing.T, data []byte, preset string) {
		r := presetRule(preset)
		if r == nil {
			return
		}
		j := &joiner{rule: r, maxLines: 5}
		ends, n := j.Frame(nil, data, true)
		if n != len(data) || !slices.IsSorted(ends) || len(data) > 0 && ends[len(ends)-1] != n {
			t.Fatalf("ends %v, n %d of %d", ends, n, len(data))
		}
		for _, e := range ends[:max(len(ends)-1, 0)] {
			if !bytes.HasSuffix(data[:e], []byte("\n")) {
				t.Fatalf("a record ends within a line at %d", e)
			}
		}
	})
}
