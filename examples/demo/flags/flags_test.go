package flags

import (
	"flag"
	"strings"
	"testing"
)

func parse(args ...string) (int, error) {
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	n := fs.Int("fail-every", 1, "")
	err := Parse(fs, args)
	return *n, err
}

func TestParse_TheFlagWinsOverTheVariableAndTheVariableOverTheDefault(t *testing.T) {
	if n, err := parse(); n != 1 || err != nil {
		t.Errorf("default: %d, %v", n, err)
	}
	t.Setenv("DEMO_FAIL_EVERY", "2")
	if n, err := parse(); n != 2 || err != nil {
		t.Errorf("variable: %d, %v", n, err)
	}
	if n, err := parse("--fail-every=3"); n != 3 || err != nil {
		t.Errorf("flag: %d, %v", n, err)
	}
}

func TestParse_NamesTheVariableThatIsWrong(t *testing.T) {
	t.Setenv("DEMO_FAIL_EVERY", "often")
	if _, err := parse(); err == nil || !strings.Contains(err.Error(), `DEMO_FAIL_EVERY="often"`) {
		t.Errorf("got %v", err)
	}
}
