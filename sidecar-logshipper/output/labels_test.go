package output

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// lokiPush is the label set and the line of a body with one record.
func lokiPush(t *testing.T, c LokiConfig, env Env, r *record.Record) (set, line string) {
	t.Helper()
	c.URL = "http://127.0.0.1:1"
	l, err := NewLoki(c, env)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	body := l.End(l.AppendRecord(l.Begin(nil), r))
	lines, err := readLoki(body)
	if err != nil || len(lines) != 1 {
		t.Fatalf("%q: %v", lines, err)
	}
	_ = fields(body, func(_ protowire.Number, stream []byte) error {
		return fields(stream, func(n protowire.Number, v []byte) error {
			if n == 1 {
				set = string(v)
			}
			return nil
		})
	})
	return set, lines[0]
}

func TestLoki_EachStreamHasLabelsAndNoneTwice(t *testing.T) {
	r := &record.Record{Source: &record.Source{Path: "/a.log"}, Message: []byte("m")}
	r.Add("user", []byte("\xffb"), record.String)
	labelled := Env{Labels: []record.Field{{Name: "a.b", Value: []byte("1")}, {Name: "a_b", Value: []byte("2")}, {Name: "file", Value: []byte("x")}}}
	for want, c := range map[string]struct {
		names []string
		env   Env
	}{
		`{file="/a.log"}`:          {[]string{"level"}, Env{}},
		`{file="/a.log", a_b="1"}`: {nil, labelled},
		"{user=\"\ufffdb\"}":       {[]string{"user", "user"}, Env{}},
		`{a_b="1", file="/a.log"}`: {[]string{"a.b", "a_b", "file"}, labelled},
	} {
		if set, _ := lokiPush(t, LokiConfig{Labels: c.names}, c.env, r); set != want {
			t.Errorf("labels %v make the stream %s, want %s", c.names, set, want)
		}
	}
}

func TestLoki_TheLevelIsALabelOrInTheLine(t *testing.T) {
	r := &record.Record{Source: &record.Source{Path: "/a.log"}, Message: []byte("boom"), Level: "error"}
	if _, line := lokiPush(t, LokiConfig{}, Env{}, r); line != `{"level":"error","message":"boom"}` {
		t.Errorf("the line is %s", line)
	}
	if set, line := lokiPush(t, LokiConfig{Labels: []string{"level"}}, Env{}, r); line != "boom" || set != `{level="error"}` {
		t.Errorf("stream %s has the line %s", set, line)
	}
}

func TestOTLP_NamesAndLevelsThatAreNotUTF8AreRepaired(t *testing.T) {
	o, err := NewOTLP(OTLPConfig{HTTPConfig: HTTPConfig{URL: "http://127.0.0.1:1"}}, Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	r := &record.Record{Source: &record.Source{Path: "/\xff.log"}, Message: []byte("\xff"), Level: "\xff"}
	r.Add("k\xff", []byte("\xff"), record.String)
	if _, err := readOTLP(o.End(o.AppendRecord(o.Begin(nil), r))); err != nil {
		t.Error(err)
	}
}

func TestObject_HasNoMemberTwiceWhateverLabelsAreCalled(t *testing.T) {
	env := Env{Labels: []record.Field{{Name: "file", Value: []byte("x")}, {Name: "level", Value: []byte("y")}, {Name: "message", Value: []byte("z")}, {Name: "time", Value: []byte("z")}}}
	k := defaultKeys(env)
	r := &record.Record{Source: &record.Source{Path: "/a.log"}, Message: []byte("m"), Level: "info"}
	line := k.plain(r.Source, false, "\n")
	chunk := &record.Chunk{Source: r.Source, Data: []byte("m\n")}
	raw, _ := line.appendLines(nil, chunk)
	for _, body := range []string{string(k.appendObject(nil, r)), string(raw)} {
		var o map[string]any
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		for _, name := range []string{"file", "level", "message", "time"} {
			if n := strings.Count(body, `"`+name+`":`); n > 1 {
				t.Errorf("%s has %s %d times", body, name, n)
			}
		}
		if o["file"] != "x" || o["message"] != "m" {
			t.Errorf("%s has other values than the record and the label that says so", body)
		}
	}
}
