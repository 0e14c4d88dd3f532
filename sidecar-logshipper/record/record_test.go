package record

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
)

func chunkOf(text string, ends []int) *Chunk {
	return &Chunk{Source: &Source{Path: "a.log", Generation: 7}, Data: []byte(text), Offset: 100, Next: 100 + int64(len(text)), Ends: ends, Time: 1000}
}

func TestChunk_RecordsEndAtNewlinesOrAtEnds(t *testing.T) {
	for _, c := range []struct {
		text string
		ends []int
		want []string
	}{
		{"a\nbb\nccc", nil, []string{"a\n", "bb\n", "ccc"}},
		{"a\n b\nc\n", []int{5, 7}, []string{"a\n b\n", "c\n"}},
		{"", nil, nil},
	} {
		chunk := chunkOf(c.text, c.ends)
		var got []string
		for start, end := range chunk.Records() {
			got = append(got, c.text[start:end])
		}
		if len(got) != len(c.want) || chunk.Count() != len(c.want) {
			t.Fatalf("%q has records %q, counted %d, want %q", c.text, got, chunk.Count(), c.want)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%q: record %d is %q, want %q", c.text, i, got[i], c.want[i])
			}
		}
	}
}

func TestChunk_SliceKeepsOffsetsTimesAndTheEnd(t *testing.T) {
	c := chunkOf("a\n b\nc\n", []int{5, 7})
	c.Next = 500 // an overlong line was cut
	first, last := c.Slice(0, 5, nil), c.Slice(5, 7, nil)
	if first.Offset != 100 || first.Next != 105 || first.Time != 1000 || first.Count() != 1 {
		t.Errorf("first part is %+v", first)
	}
	if last.Offset != 105 || last.Next != 500 || last.Time != 1005 || last.Ends[0] != 2 {
		t.Errorf("last part is %+v", last)
	}
}

func TestEventID_IsOfThePlaceAndNotOfTheContent(t *testing.T) {
	c := chunkOf("same\nsame\n", nil)
	var r Record
	ids := map[EventID]bool{}
	for range 2 {
		for start, end := range c.Records() {
			r.Reset(c, start, end)
			ids[r.ID()] = true
		}
	}
	if len(ids) != 2 {
		t.Errorf("two equal lines, sent twice, have %d IDs, want 2", len(ids))
	}
	if got := string(c.Source.ID(255).Append(nil)); got != "000000000000000700000000000000ff" {
		t.Errorf("ID is written %s", got)
	}
}

func TestRecord_ResetForgetsEverything(t *testing.T) {
	c := chunkOf("one\r\ntwo\n", nil)
	var r Record
	r.Reset(c, 0, 5)
	if string(r.Raw) != "one" {
		t.Errorf("raw is %q, want it without the line end", r.Raw)
	}
	r.Level, r.OwnTime = "info", true
	r.Add("k", []byte("v"), String)
	r.Reset(c, 5, 9)
	if r.Level != "" || r.OwnTime || len(r.Fields) != 0 || string(r.Message) != "two" || r.Time != 1005 {
		t.Errorf("after Reset the record is %+v", r)
	}
}

func TestRecord_ScratchNeverMovesWhatItGave(t *testing.T) {
	var r Record
	var all [][]byte
	for i := range 200 {
		all = append(all, r.Scratch(func(dst []byte) []byte { return append(dst, bytes.Repeat([]byte{byte(i)}, 10)...) }))
	}
	for i, b := range all {
		if !bytes.Equal(b, bytes.Repeat([]byte{byte(i)}, 10)) {
			t.Fatalf("piece %d is %v", i, b)
		}
	}
}

func TestRecord_RemoveKeepsTheOrder(t *testing.T) {
	var r Record
	for _, n := range []string{"a", "b", "c"} {
		r.Add(n, nil, Null)
	}
	r.Remove("b")
	if len(r.Fields) != 2 || r.Fields[0].Name != "a" || r.Fields[1].Name != "c" || r.Field("b") != nil {
		t.Errorf("fields are %v", r.Fields)
	}
}

func TestAddNamed_GivesEachRecordItsOwnNames(t *testing.T) {
	c := &Chunk{Source: &Source{}, Data: []byte("x")}
	var r Record
	name := make([]byte, 0, 8)
	var earlier []string
	for _, names := range [][]string{{"a", "b", "c"}, {"a", "c"}, {"c", "b", "a", "d"}, {"a", "b", "c"}, {}} {
		r.Reset(c, 0, 1)
		for _, n := range names {
			name = append(name[:0], n...) // the bytes of a record are those of the next one later
			r.AddNamed(name, nil, Null)
		}
		for i, n := range names {
			if r.Fields[i].Name != n {
				t.Errorf("%v: field %d is called %q", names, i, r.Fields[i].Name)
			}
		}
		if len(r.Fields) > 0 {
			earlier = append(earlier, r.Fields[0].Name)
		}
	}
	if got := strings.Join(earlier, ""); got != "aaca" {
		t.Errorf("names of earlier records have become %s", got)
	}
	r.Reset(c, 0, 1)
	for i := range 1000 {
		r.AddNamed([]byte(strconv.Itoa(i)), nil, Null)
	}
	if len(r.names) > mostNames || r.Fields[999].Name != "999" {
		t.Errorf("%d names are kept, the last field is %q", len(r.names), r.Fields[999].Name)
	}
}
