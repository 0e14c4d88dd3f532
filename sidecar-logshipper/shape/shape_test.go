package shape

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

func TestMain(m *testing.M) { kittest.Main(m, nil) }

func rec(message string, fields ...record.Field) *record.Record {
	return &record.Record{Source: &record.Source{Path: "/logs/a.log", Generation: 7}, Message: []byte(message), Level: "debug", Fields: fields}
}

func text(name, value string) record.Field {
	return record.Field{Name: name, Value: []byte(value)}
}

func stages(t testing.TB, yaml string) []record.Stage {
	t.Helper()
	var c struct {
		Shape Config `yaml:"shape"`
	}
	if _, err := conf.Parse("c.yaml", []byte("shape:\n"+yaml), &c, os.LookupEnv); err != nil {
		t.Fatal(err)
	}
	s, err := New(c.Shape)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func apply(t testing.TB, yaml string, r *record.Record) (drop string) {
	t.Helper()
	for _, s := range stages(t, yaml) {
		if drop = s.Apply(r); drop != "" {
			return drop
		}
	}
	return ""
}

func TestCondition_ComparesLevelsFieldsAndWhatIsMissing(t *testing.T) {
	fields := []record.Field{text("path", "/healthz"), {Name: "status", Value: []byte("503"), Kind: record.Number},
		{Name: "ok", Value: []byte("true"), Kind: record.Bool}, text("log.name", "x"), text("nan", "nan"), text("inf", "-Infinity"), {Name: "req", Value: []byte(`{"id":"r1"}`), Kind: record.JSON}}
	for condition, want := range map[string]bool{
		`level == "debug"`: true, `in(level, "info", "warn")`: false, `path == "/healthz" && status >= 500`: true,
		`ok`: true, `contains(message, "world")`: true, `matches(message, "^hello")`: true, `endsWith(file, "a.log")`: true,
		`nothing == nil`: true, `nothing > 3`: false, `!(status < 500)`: true, `field("log.name") == "x"`: true, `req.id == "r1"`: true,
		`startsWith(path, "/api") || time < "1971"`: true, `status != 503`: false, `status == "503"`: true, `ok == true`: true,
		`in(status, 500, 503)`: true, `req.id.deeper == nil`: true, `status > -1`: true, `message`: false,
		`nan < 3`: false, `inf < 3`: false,
	} {
		c, err := newCondition(condition)
		if err != nil {
			t.Errorf("%s: %v", condition, err)
			continue
		}
		if got := c.holds(rec("hello world", fields...)); got != want {
			t.Errorf("%s is %v", condition, got)
		}
	}
}

func TestCondition_IsCheckedAtLoad(t *testing.T) {
	for _, text := range []string{`level ==`, `"text"`, `level + "x"`, `contains(message)`, `matches(message, "(")`, `nope(level, "x")`, `level == 'debug'`, `contains(message, level)`, `a[0]`, `func() {}`, `in()`} {
		if _, err := newCondition(text); err == nil {
			t.Errorf("condition %s was accepted", text)
		}
	}
	c := Config{{Drop: &Condition{If: `level ==`}}, {Keep: &Condition{If: `"text"`}}, {Sample: &Sample{Rate: 2}}, {Limit: &Limit{}}, {}, {Redact: &Redact{Presets: []string{"nope"}}}}
	var p conf.Problems
	c.Validate(&p, "shape")
	for i := range c {
		if at := fmt.Sprintf("shape[%d]", i); !strings.Contains(p.Error(), at) {
			t.Errorf("nothing is said about %s in\n%s", at, p.Error())
		}
	}
	if n := strings.Count(p.Error(), "shape[4]"); n != 1 {
		t.Errorf("a step without a kind is told of %d times", n)
	}
}

func TestCondition_WordsForOperatorsAreAnsweredWithTheOperators(t *testing.T) {
	for _, text := range []string{`level == "a" and path == "b"`, `not (level == "a")`, `level = "a"`} {
		if _, err := newCondition(text); err == nil || !strings.Contains(err.Error(), "&& || !") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestShape_DropAndKeepCountTheirReasons(t *testing.T) {
	if got := apply(t, `  - drop: {if: 'level == "debug"'}`, rec("x")); got != ReasonDrop {
		t.Error(got)
	}
	if got := apply(t, `  - keep: {if: 'level == "info"'}`, rec("x")); got != ReasonKeep {
		t.Error(got)
	}
	if got := apply(t, `  - keep: {if: 'level == "debug"'}`, rec("x")); got != "" {
		t.Error(got)
	}
}

func TestShape_AddAndRenameInOrder(t *testing.T) {
	r := rec("", text("msg", "hello"), text("env", "old"))
	apply(t, "  - rename: {msg: message, level: severity}\n  - add: {env: prod, team: a}", r)
	if string(r.Message) != "hello" || r.Level != "" || string(r.Field("severity").Value) != "debug" ||
		string(r.Field("env").Value) != "prod" || string(r.Field("team").Value) != "a" || r.Field("msg") != nil {
		t.Errorf("%+v", r)
	}
}

func TestSample_KeepsItsPartAndDecidesAResendTheSameWay(t *testing.T) {
	s := stages(t, `  - sample: {rate: 0.1, if: 'path == "/healthz"'}`)[0]
	kept := 0
	for i := range 10_000 {
		r := rec("x", text("path", "/healthz"))
		r.Offset = int64(i) * 100
		first := s.Apply(r)
		if s.Apply(r) != first {
			t.Fatal("a resend met another decision")
		}
		if first == "" {
			kept++
		}
	}
	if kept < 900 || kept > 1100 {
		t.Errorf("kept %d of 10000", kept)
	}
	if s.Apply(rec("x", text("path", "/"))) != "" {
		t.Error("a record that is not sampled was dropped")
	}
}

func TestLimit_EachKeyHasItsOwnRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stages(t, `  - limit: {rate: 10/s, per: [path]}`)[0]
		passed := func(path string, n int) (passed int) {
			for range n {
				if s.Apply(rec("x", text("path", path))) == "" {
					passed++
				}
			}
			return passed
		}
		if a, b := passed("/a", 25), passed("/b", 5); a != 10 || b != 5 {
			t.Errorf("at once %d and %d passed", a, b)
		}
		time.Sleep(500 * time.Millisecond)
		if a := passed("/a", 25); a != 5 {
			t.Errorf("half a second later %d passed", a)
		}
	})
}

func TestPodInfo_LabelsThatChangeAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	write := func(version, labels string) {
		if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "labels"), []byte(labels), 0o644); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(filepath.Join(dir, "..data_tmp"))
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	write("..v1", "app=\"shop\"\nnote=\"a\\\"b\"\n")
	if err := os.Symlink("..data/labels", filepath.Join(dir, "labels")); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newPodInfo(&PodInfo{Dir: dir})
		r := rec("x")
		s.Apply(r)
		if string(r.Field("label.app").Value) != "shop" || string(r.Field("label.note").Value) != `a"b` {
			t.Errorf("%+v", r.Fields)
		}
		write("..v2", "app=\"cart\"\n")
		time.Sleep(recheck)
		r = rec("x")
		s.Apply(r)
		if f := r.Field("label.app"); f == nil || string(f.Value) != "cart" || r.Field("label.note") != nil {
			t.Errorf("%+v", r.Fields)
		}
	})
}

func TestRedact_KnownSecretsAndNothingElse(t *testing.T) {
	for _, row := range []struct{ preset, in, want string }{
		{"card", "paid 4111111111111111 ok", "paid # ok"},
		{"card", "4111 1111 1111 1111, 5500-0000-0000-0004", "#, #"},
		{"card", "4111.1111.1111.1111 378282246310005", "# #"},
		{"card", "id 4111111111111112", "id 4111111111111112"},
		{"card", "20261124 4111111111111111 7", "20261124 # 7"},
		{"card", "４１１１１１１１１１１１１１１１", "#"},
		{"card", "4111\u00a01111\u200b1111\u20111111", "#"},
		{"card", "٤١١١١١١١١١١١١١١١", "#"},
		{"card", "𝟜𝟙𝟙𝟙 1111 １１１１ 1111", "#"},
		{"card", "4\t1·1\u30001－1．1.1_1 1-1\u00ad1\u200b1\u20601\ufeff1 1 1", "#"},
		{"card", "4111 1111 1111 1111 4111 1111 1111 1111", "# #"},
		{"card", "12 4111-1111-1111-1111-35", "12 #-35"},
		{"card", "4111    1111 1111 1111", "4111    1111 1111 1111"},
		{"card", "{\"pan\":\"4111\\u00201111\"}", "{\"pan\":\"4111\\u00201111\"}"},
		{"card", "trace 41111111111111111111111111111111", "trace 41111111111111111111111111111111"},
		{"card", "at 1795512400123456789", "at 1795512400123456789"},
		{"bearer", "Authorization: Bearer abc.def-123456 x", "Authorization: Bearer # x"},
		{"bearer", "BEARER ABCDEFGHIJ", "BEARER #"},
		{"bearer", "the bearer of news", "the bearer of news"},
		{"email", "mail bob.o'x@shop.example. Bye", "mail bob.o'#. Bye"},
		{"email", "müller@bücher.example", "#"},
		{"jwt", "t=eyJhbGciOi.eyJzdWIiOiIx.SflKxwRJ", "t=#"},
		{"aws_key", "AKIAIOSFODNN7EXAMPLE", "#"},
		{"password", `password="a b" user=x pwd: hunter2, z`, `password=# user=x pwd: #, z`},
		{"url_password", "postgres://app:s3cret@db/x", "postgres://app:#@db/x"},
		{"ip", "from 10.1.2.3 v1.2.3", "from # v1.2.3"},
	} {
		s, err := newRedactor(&Redact{Presets: []string{row.preset}, Replace: "#"})
		if err != nil {
			t.Fatal(err)
		}
		r := rec(row.in)
		s.Apply(r)
		if string(r.Message) != row.want {
			t.Errorf("%s: %q became %q, want %q", row.preset, row.in, r.Message, row.want)
		}
	}
}

func TestRedact_LooksIntoNestedFieldsAndKeepsThemJSON(t *testing.T) {
	r := rec("x", record.Field{Name: "order", Value: []byte(`{"n":12345678901234567890,"card":4111111111111111,"to":["\u0062ob@shop.example"]}`), Kind: record.JSON},
		record.Field{Name: "pan", Value: []byte("4111111111111111"), Kind: record.Number})
	apply(t, "  - redact: {presets: [card, email]}", r)
	order := string(r.Fields[0].Value)
	if !json.Valid(r.Fields[0].Value) || strings.Contains(order, "4111") || strings.Contains(order, "shop") || !strings.Contains(order, "12345678901234567890") {
		t.Error(order)
	}
	if f := r.Field("pan"); f.Kind != record.String || string(f.Value) != "[REDACTED:card]" {
		t.Errorf("%s", f.Value)
	}
}

func TestRedact_AFieldThatIsCalledPasswordIsOne(t *testing.T) {
	r := rec("x", text("db.Password", "hunter2"), text("user", "bob"), text("tokens", "7"), text("pwd", ""),
		record.Field{Name: "api_key", Value: []byte("123"), Kind: record.Number}, record.Field{Name: "secret", Value: []byte("true"), Kind: record.Bool},
		record.Field{Name: "auth", Value: []byte(`{"token":["a"],"secret":null,"user":"bob"}`), Kind: record.JSON})
	apply(t, "  - redact: {presets: [password], replace: '#'}", r)
	for name, want := range map[string]string{"db.Password": "#", "user": "bob", "tokens": "7", "pwd": "", "api_key": "#", "secret": "true", "auth": `{"secret":null,"token":"#","user":"bob"}`} {
		if got := string(r.Field(name).Value); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if r.Field("api_key").Kind != record.String {
		t.Error("what was a number is written as one")
	}
}

func TestRedact_ALineOfNothingButDigitsTakesNoTimeToSpeakOf(t *testing.T) {
	for _, text := range []string{strings.Repeat("1 ", 1<<20), strings.Repeat("41", 1<<20), strings.Repeat("4111-", 1<<18)} {
		r := rec(text)
		apply(t, "  - redact: {presets: [card]}", r)
		if len(preset("card")(nil, r.Message)) > 0 {
			t.Error("a card is left")
		}
	}
}

func TestLimit_ARecordThatIsSentAgainTakesNoSecondToken(t *testing.T) {
	s := stages(t, `  - limit: {rate: 1/s}`)[0]
	r := rec("x")
	if s.Apply(r) != "" {
		t.Fatal("the first was dropped")
	}
	for range 3 {
		if r.Kept = true; s.Apply(r) != "" {
			t.Error("dropped when it was sent again")
		}
	}
	if r.Kept = false; s.Apply(r) == "" {
		t.Error("the next has passed without a token")
	}
}

func TestContainsFold_ComparesLettersWithoutCase(t *testing.T) {
	for _, c := range []struct {
		text, lower string
		want        bool
	}{
		{"a Bearer x", "earer", true}, {"BEARER", "earer", true}, {"bEaReR", "earer", true}, {"beare", "earer", false},
		{"eearer", "earer", true}, {"", "earer", false}, {"PRIVATE KEY", "private key", true}, {"private\x00key", "private key", false},
		{"[@", "{`", false}, {"é earer", "earer", true},
	} {
		if got := containsFold([]byte(c.text), []byte(c.lower)); got != c.want {
			t.Errorf("%q in %q: %v", c.lower, c.text, got)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("4111 1111 1111 1111 bearer abcdefghij a@b.cc \xff")
	f.Fuzz(func(t *testing.T, in string) {
		s, err := newRedactor(&Redact{Presets: []string{"card", "bearer", "email", "password"}})
		if err != nil {
			t.Fatal(err)
		}
		r := rec(in)
		s.Apply(r)
		if len(preset("card")(nil, r.Message)) > 0 {
			t.Fatalf("%q still holds a card: %q", in, r.Message)
		}
	})
}
