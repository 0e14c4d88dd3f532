package output

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

func TestObject_HasTheTimeOfItsRecordInWhateverOrderTheyCome(t *testing.T) {
	k := defaultKeys(testEnv())
	r := record.Record{Source: &record.Source{}}
	for _, want := range []string{
		"2026-11-24T09:26:40.000000001Z", "2026-11-24T09:26:40.999999999Z", "2026-11-24T09:26:41.5Z", "2026-11-24T09:26:40.25Z",
		"1969-12-31T23:59:59.75Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.5Z",
	} {
		at, err := time.Parse(time.RFC3339Nano, want)
		if err != nil {
			t.Fatal(err)
		}
		r.Time = at.UnixNano()
		want := `"time":"` + at.Format("2006-01-02T15:04:05.000000000Z") + `"`
		if got := string(k.appendObject(nil, &r)); !strings.Contains(got, want) {
			t.Errorf("%s has no %s", got, want)
		}
	}
}

func TestKey_IsEscapedWhereItHasTo(t *testing.T) {
	for name, want := range map[string]string{"plain_name-1": `"plain_name-1":`, `a"b`: `"a\"b":`, "a\\b": `"a\\b":`, "a\nb": `"a\nb":`, "é": `"é":`, "\xff": "\"\ufffd\":", "": `"":`} {
		if got := string(appendKey(nil, name)); got != want {
			t.Errorf("%q becomes %s, want %s", name, got, want)
		}
	}
}

func TestObject_LosesNoFieldWhoseNameIsTaken(t *testing.T) {
	k := defaultKeys(Env{})
	for want, r := range map[string]record.Record{
		`"message":"m","time_":0.5,"level":7`:         {Message: []byte("m"), Fields: []record.Field{{Name: "time", Kind: record.Number, Value: []byte("0.5")}, {Name: "level", Kind: record.Number, Value: []byte("7")}}},
		`"level":"info","message":"m","level_":"a"`:   {Message: []byte("m"), Level: "info", Fields: []record.Field{{Name: "level", Value: []byte("a")}}},
		`"message":{"a":1},"x":2`:                     {Fields: []record.Field{{Name: "message", Kind: record.JSON, Value: []byte(`{"a":1}`)}, {Name: "x", Kind: record.Number, Value: []byte("2")}}},
		`"message":"m","message__":"a","message_":""`: {Message: []byte("m"), Fields: []record.Field{{Name: "message", Value: []byte("a")}, {Name: "message_"}}},
	} {
		r.Source = &record.Source{}
		got := string(k.appendObject(nil, &r))
		if _, rest, _ := strings.Cut(got, ","); rest != want+"}" {
			t.Errorf("sends %s, want %s", got, want)
		}
		entry := (&packedEvents{}).AppendRecord(nil, &r)
		v, err := unpackValue(bufio.NewReader(bytes.NewReader(entry)))
		if err != nil {
			t.Fatal(err)
		}
		members := v.([]any)[1].(map[string]any)
		for i := range r.Fields {
			found := false
			for _, v := range members {
				found = found || fmt.Sprint(v) == string(r.Fields[i].Value)
			}
			if !found {
				t.Errorf("forward entry %v has no %s", members, r.Fields[i].Value)
			}
		}
	}
}

func TestFluent_ARecordOfVeryManyFieldsIsOneEntry(t *testing.T) {
	r := record.Record{Source: &record.Source{}, Message: []byte("m")}
	const fields = 1<<16 + 5
	for i := range fields {
		r.Add(strconv.Itoa(i), nil, record.Null)
	}
	v, err := unpackValue(bufio.NewReader(bytes.NewReader((&packedEvents{}).AppendRecord(nil, &r))))
	if err != nil || len(v.([]any)[1].(map[string]any)) != fields+2 {
		t.Errorf("is not an entry with %d fields: %v", fields, err)
	}
}
