package decode

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// asking looks names up at each leaf called at.
type asking struct {
	at   string
	up   int
	name string
	last string
	got  []string
}

func (a *asking) Push(s []byte) { a.last = string(s) }
func (a *asking) Pop()          { a.last = "" }
func (a *asking) Leaf(s *sample.Sample) {
	if a.last == a.at {
		text, ok := s.Fields.Lookup(a.up, a.name)
		a.got = append(a.got, fmt.Sprintf("%s %t", text, ok))
	}
}

func TestJSON_LooksNeighboursUp(t *testing.T) {
	for _, c := range []struct {
		up              int
		name, doc, want string
	}{
		{0, "x", `{"x":"a","n":1}`, "a true"},
		{0, "x", `{"n":1, "y" : [ "x", {"x":"no"} ] , "x" : "b" }`, "b true"},
		{0, "x", `{"n":1,"y":"x","z":"\",\"x\":\"no","x":-1e3}`, "-1e3 true"},
		{0, "x", `{"n":1,"y":"\\","x":true}`, "true true"},
		{0, "x", `{"n":1,"x":"q\"\u00e9\\"}`, `q"é\ true`},
		{0, "x\"", `{"n":1,"x\"":"key"}`, "key true"},
		{0, "x", `{"n":1,"x":""}`, " true"},
		{0, "x", `{"n":1,"x":null}`, " false"},
		{0, "x", `{"n":1,"x":{"x":1}}`, " false"},
		{0, "x", `{"n":1}`, " false"},
		{1, "x", `{"x":"up","o":{"n":1,"x":"no"}}`, "up true"},
		{1, "x", `{"o":{"n":1,"x":"no"},"x":"up"}`, "up true"},
		{2, "x", `{"o":[{"n":1},{"n":2}],"x":7}`, "7 true,7 true"},
		{1, "x", `{"o":[{"n":1}],"x":7}`, " false"}, // an array has no names
		{9, "x", `{"n":1,"x":7}`, " false"},
	} {
		a := &asking{at: "n", up: c.up, name: c.name}
		if err := JSON([]byte(c.doc), a); err != nil {
			t.Fatal(c.doc, err)
		}
		if got := strings.Join(a.got, ","); got != c.want {
			t.Errorf("%s: got %q, want %q", c.doc, got, c.want)
		}
	}
}

// FuzzJSON_LooksUpWhatTheStandardLibraryFinds puts any value beside a number.
func FuzzJSON_LooksUpWhatTheStandardLibraryFinds(f *testing.F) {
	for _, v := range []string{`"a"`, `"\\"`, `"\\\""`, `{"x":1}`, `1`, `"\u0041"`, `[{"x":"y"},"x"]`} {
		f.Add(v, `"b"`)
	}
	f.Fuzz(func(t *testing.T, before, value string) {
		if !json.Valid([]byte(before)) || !json.Valid([]byte(value)) || !utf8.ValidString(value) {
			return
		}
		a := &asking{at: "n", name: "x"}
		if JSON([]byte(`{"n":1,"a":`+before+`,"x":`+value+`}`), a) != nil || len(a.got) != 1 {
			return // nested too deeply, or with numbers called n of its own
		}
		text := strings.TrimSpace(value)
		want := text + " true"
		switch text[0] {
		case '"':
			_ = json.Unmarshal([]byte(value), &text)
			want = text + " true"
		case '{', '[', 'n':
			want = " false"
		}
		if a.got[0] != want {
			t.Errorf("%s beside %s: got %q, want %q", value, before, a.got[0], want)
		}
	})
}

func TestJSON_FindsTheEndOfAStringAtEachOffset(t *testing.T) {
	for n := range 40 {
		for _, c := range []struct{ special, err string }{
			{`"`, ""}, {`\n"`, ""}, {"\x1f\"", "a control character"}, {"\x00\"", "a control character"}, {"\x02\"", "a control character"}, {` #!"`, ""}, {"\u00e9\x7f\xff!\"", ""}, {"", "without an end"}, {`\x"`, "an unknown escape"},
		} {
			doc := `"` + strings.Repeat("#", n) + c.special
			err := JSON([]byte(doc), &walked{})
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %v, want %q", doc, err, c.err)
			}
		}
	}
}
