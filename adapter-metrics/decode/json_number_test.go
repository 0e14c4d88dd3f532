package decode

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// lastNumber keeps the number that a document consists of.
type lastNumber struct {
	value   float64
	numeric bool
	text    string
}

func (*lastNumber) Push([]byte) {}
func (*lastNumber) Pop()        {}

func (l *lastNumber) Leaf(s *sample.Sample) {
	l.value, l.numeric, l.text = s.Value, s.Numeric, string(s.Text)
}

func TestJSON_ReadsADocumentBehindAByteOrderMark(t *testing.T) {
	var got lastNumber
	if err := JSON([]byte("\uFEFF7"), &got); err != nil || !got.numeric {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestJSON_ReadsNumbersAsTheStandardLibraryDoes(t *testing.T) {
	for _, doc := range []string{
		"0", "-0", "7", "-12", "0.1", "-0.25", "12.50", "1.005", "0.30000000000000004", "999999999999999", "9999999999999999", "99999999999999.9",
		"123456.789012345", "0.000000000000001", "1e3", "1.5E-3", "2e+2", "18446744073709551616", "1e999",
		"01", "-", "-a", "1.", ".5", "1.e3", "1e", "1-2", "1.2.3", "+1", "00.5", "-01", "0x10",
	} {
		var want float64
		var got lastNumber
		wantErr, err := json.Unmarshal([]byte(doc), &want), JSON([]byte(doc), &got)
		if doc == "1e999" { // well formed, but no number that can be shown
			if err != nil || got.numeric {
				t.Errorf("%s: %v, numeric %v", doc, err, got.numeric)
			}
			continue
		}
		switch {
		case (err == nil) != (wantErr == nil):
			t.Errorf("%s: error %v, the standard library says %v", doc, err, wantErr)
		case err == nil && (got.value != want || math.Signbit(got.value) != math.Signbit(want) || !got.numeric || got.text != doc):
			t.Errorf("%s is %+v, want %v", doc, got, want)
		}
	}
}
