package decode

import (
	"bytes"
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
	if err := d([]byte(`{"items":[{"name":"a","value":420465847726953},{"name":"b","value":2.50}]}`), &l); err != nil {
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
	if err := d([]byte(`1`), &listed{}); err == nil || time.Since(begin) > 2*jqDeadline {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
}

func TestJQ_RefusesAProgramThatIsNone(t *testing.T) {
	for _, program := range []string{"{", ".a | nosuch"} {
		if _, err := JQ(program); err == nil {
			t.Errorf("%q compiles", program)
		}
	}
}
