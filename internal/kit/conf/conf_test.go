package conf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v4"
)

func TestValues_ReadBackWhatTheyWrite(t *testing.T) {
	for _, text := range []string{"1500ms", "5s", "1h", "1h30m", "2m3s", "0s"} {
		d, err := ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseDuration(d.String()); err != nil || again != d {
			t.Errorf("%s → %s → %v %v", text, d, again, err)
		}
	}
	for text, want := range map[string]Size{"512": 512, "64KiB": 65536, "1MiB": 1 << 20, "2GB": 2e9, "1.5KiB": 1536, "0": 0, "10kB": 10000} {
		s, err := ParseSize(text)
		if err != nil || s != want {
			t.Errorf("%s = %d %v, want %d", text, s, err, want)
		}
		if again, err := ParseSize(s.String()); err != nil || again != s {
			t.Errorf("%s → %s → %v %v", text, s, again, err)
		}
	}
	for text, want := range map[string]Rate{"100/s": 100, "30/m": 0.5, "36/h": 0.01} {
		r, err := ParseRate(text)
		if err != nil || r != want || r.String() != text {
			t.Errorf("%s = %g %v, written %s", text, float64(r), err, r)
		}
	}
}

func TestDuration_KeepsItsUnitInJSON(t *testing.T) {
	if j, err := json.Marshal(Duration(25 * time.Second)); err != nil || string(j) != `"25s"` {
		t.Errorf("%s %v", j, err)
	}
}

func TestValues_RefuseWhatTheyCannotMean(t *testing.T) {
	for _, text := range []string{"5", "soon", "", "-"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("duration %q = %s", text, d)
		}
	}
	for _, text := range []string{"", "-1", "1QB", "NaN", "1e300GiB", "9223372036854775807KiB"} {
		if s, err := ParseSize(text); err == nil {
			t.Errorf("size %q = %s", text, s)
		}
	}
	for _, text := range []string{"100", "100/d", "-1/s", "Inf/s", "/s"} {
		if r, err := ParseRate(text); err == nil {
			t.Errorf("rate %q = %s", text, r)
		}
	}
}

func TestNearest_ForgivesCaseDashesAndOneSlip(t *testing.T) {
	known := []string{"drain_timeout", "paths", "url", "level"}
	for word, want := range map[string]string{
		"drain-timeout": "drain_timeout", "drainTimeout": "drain_timeout", "pahts": "paths", "ulr": "url", "lvl": "level", "banana": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestSecret_NeverPrintsWhateverPrintsIt(t *testing.T) {
	s := struct{ Password Secret }{"hunter2"}
	y, _ := yaml.Dump(&s)
	j, _ := json.Marshal(s)
	for _, printed := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s.Password, s.Password), string(y), string(j)} {
		if strings.Contains(printed, "hunter2") {
			t.Errorf("printed: %s", printed)
		}
	}
}

func TestSecrets_AreReadAgainWhenTheFileRotatesAndKeptWhileItIsGone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	ref := Secret("file:" + file)
	s := NewSecrets()
	if _, err := s.Get(ref); err == nil {
		t.Error("a secret that never was has a value")
	}
	for _, step := range []struct{ content, want string }{{"one\n", "one"}, {"twotwo", "twotwo"}, {"", "twotwo"}} {
		if step.content == "" {
			_ = os.Remove(file)
		} else if err := os.WriteFile(file, []byte(step.content), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Expire()
		if got, err := s.Get(ref); err != nil || got != step.want {
			t.Errorf("%q %v, want %q", got, err, step.want)
		}
	}
}

func TestSecrets_AskTheFileSystemOnceASecond(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	synctest.Test(t, func(t *testing.T) {
		s := NewSecrets()
		for _, step := range []struct {
			content, want string
			later         time.Duration
		}{{"one", "one", 0}, {"second", "one", time.Millisecond}, {"second", "second", recheck}} {
			if err := os.WriteFile(file, []byte(step.content), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(step.later)
			if got, _ := s.Get(Secret("file:" + file)); got != step.want {
				t.Errorf("%q, want %q", got, step.want)
			}
		}
	})
}

type union struct {
	Cat *struct{} `yaml:"cat"`
	Dog *struct{} `yaml:"dog"`
}

func TestOneOf_WantsExactlyOne(t *testing.T) {
	for _, row := range []struct {
		u    union
		want string
	}{
		{union{}, "names no kind (write one of cat, dog)"},
		{union{Cat: &struct{}{}, Dog: &struct{}{}}, "names cat and dog"},
		{union{Dog: &struct{}{}}, ""},
	} {
		p := &Problems{}
		p.OneOf("pets[0]", &row.u)
		if got := p.Error(); !strings.Contains(got, row.want) || (row.want == "") != (got == "") {
			t.Errorf("%q, want %q", got, row.want)
		}
	}
}

func TestProblem_OfAValueThatValidationFoundCarriesItsPlace(t *testing.T) {
	var config struct {
		Outputs []struct {
			URL string `yaml:"url"`
		} `yaml:"outputs"`
	}
	p, err := Parse("c.yaml", []byte("outputs:\n- url: a\n- url: b\n"), &config, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	p.Add("outputs[1].url", "is odd", "")
	p.Add("outputs[1].missing", "is not there", "")
	p.Add("--flag", "is odd", "")
	want := []string{"c.yaml:3:8: outputs[1].url: is odd", "c.yaml:3:3: outputs[1].missing: is not there", "--flag: is odd"}
	for i, problem := range p.List {
		if !strings.HasPrefix(problem.String(), want[i]) {
			t.Errorf("%s\nwant %s", problem, want[i])
		}
	}
}

func TestProblem_ShowsAWrongURLWithoutItsPassword(t *testing.T) {
	for _, url := range []string{"socks5://u:hunter2%zz@p:1080", "redis://:hunter2@h:port", "http://u:hunter2@[::1/", "tcp://u:hunter2@a:1,b:2/@"} {
		p := Problem{Message: fmt.Sprintf("parse %q: invalid", url), Source: "via: " + url, Line: 3, Col: 6}
		if text := p.String(); strings.Contains(text, "hunter2") || strings.Count(text, ":xxxxx@") != 2 {
			t.Errorf("%s is shown as\n%s", url, text)
		}
	}
}

func TestSchema_HasAPropertyForEveryKey(t *testing.T) {
	type inner struct {
		Size Size `yaml:"size" doc:"How much."`
	}
	type outer struct {
		Common `yaml:",inline"`
		Inner  []inner           `yaml:"inner"`
		Map    map[string]*inner `yaml:"map"`
		Kind   string            `yaml:"kind" enum:"a,b"`
		Skip   string            `yaml:"-"`
	}
	text, err := json.Marshal(Schema("outer", reflect.TypeFor[outer]()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"admin_address"`, `"How much."`, `"enum":["a","b"]`, `"$ref":"#/$defs/conf_inner"`, `"additionalProperties":false`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if strings.Contains(string(text), "Skip") {
		t.Error("a field without a key is in the schema")
	}
}

// FuzzParse: whatever the file holds, parsing ends with a value or with problems, never with a panic or a loop.
func FuzzParse(f *testing.F) {
	f.Add("greeting: x\npets: [{name: a}]")
	f.Add("a: &a [*a]")
	f.Add("<<: {a: 1}\n? [x]\n: y")
	f.Fuzz(func(t *testing.T, text string) {
		var config struct {
			Common   `yaml:",inline"`
			Greeting string           `yaml:"greeting"`
			Secret   Secret           `yaml:"secret"`
			Any      any              `yaml:"a"`
			Pets     []map[string]int `yaml:"pets"`
		}
		p, err := Parse("fuzz.yaml", []byte(text), &config, func(string) (string, bool) { return "v", true })
		if (err == nil) != (len(p.List) == 0) {
			t.Errorf("error %v with %d problems", err, len(p.List))
		}
	})
}

func TestDump_HidesWhatAQueryCallsSecret(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"http://127.0.0.1:1/?token=hunter2", "http://127.0.0.1:1/?token=xxxxx"},
		{"http://u:hunter2@h/stats?a=1&API_key=hunter2&b=2#c", "http://u:xxxxx@h/stats?a=1&API_key=xxxxx&b=2#c"},
		{"http://h/?access_token=hunter2&passwd=hunter2", "http://h/?access_token=xxxxx&passwd=xxxxx"},
		{"http://h/?sort_key=a&tokens=3&author=b", "http://h/?sort_key=a&tokens=3&author=b"},
		{"no URL?token=stays", "no URL?token=stays"},
	} {
		y, err := dump(map[string]string{"url": c.url}, strings.NewReplacer())
		if got := strings.TrimSpace(strings.TrimPrefix(string(y), "url: ")); err != nil || strings.Trim(got, `"'`) != c.want {
			t.Errorf("%s is shown as %s, %v", c.url, got, err)
		}
	}
}
