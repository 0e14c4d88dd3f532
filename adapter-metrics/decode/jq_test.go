package decode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// listed notes each value as path=text.
type listed struct {
	path [][]byte
	seen []string
}

func (l *listed) Push(s []byte) { l.path = append(l.path, s) }
func (l *listed) Pop()          { l.path = l.path[:len(l.path)-1] }
func (l *listed) Leaf(s *sample.Sample) {
	l.seen = append(l.seen, fmt.Sprintf("%s=%s", bytes.Join(l.path, []byte(".")), s.Text))
}

func TestJQ_ReshapesADocument(t *testing.T) {
	d, err := JQ(`.items[] | {(.name): .value}`)
	if err != nil {
		t.Fatal(err)
	}
	var l listed
	if err := d(t.Context(), []byte(`{"items":[{"name":"a","value":420465847726953},{"name":"b","value":2.50}]}`), &l); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(l.seen); got != "[a=420465847726953 b=2.50]" {
		t.Error(got)
	}
}

func TestJQ_EndsAtItsDeadline(t *testing.T) {
	d, err := JQ(`last(repeat(1))`)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := d(t.Context(), []byte(`1`), &listed{}); err == nil || time.Since(begin) > 2*jqDeadline {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
}

func TestJQ_EndsWithTheScrape(t *testing.T) {
	d, err := JQ(`last(repeat(1))`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d(ctx, []byte(`1`), &listed{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestJQ_IsAsStrictAboutADocumentAsWithoutIt(t *testing.T) {
	d, err := JQ(`.`)
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range []string{`{"a":1}`, "\uFEFF{\"a\":1} ", `{"a":1}{"b":`, `{"a":1}]`, `{"a":1} x`, `{"a":1`, ``, `{"a":01}`} {
		if with, without := d(t.Context(), []byte(doc), &listed{}), JSON([]byte(doc), &listed{}); (with == nil) != (without == nil) {
			t.Errorf("%s: with jq %v, without %v", doc, with, without)
		}
	}
}

func TestJQ_RefusesAProgramThatIsNone(t *testing.T) {
	for _, program := range []string{"{", ".a | nosuch"} {
		if _, err := JQ(program); err == nil {
			t.Errorf("%q compiles", program)
		}
	}
}
