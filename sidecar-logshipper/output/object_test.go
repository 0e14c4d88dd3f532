package output

import (
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
