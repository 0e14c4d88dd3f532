package parse

import (
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

func TestValidate_RefusesALayoutThatNamesNoPartOfATime(t *testing.T) {
	for layout, fine := range map[string]bool{
		"": true, "rfc3339": true, "unix": true, "combined": true, "%Y-%m-%d": true, "2006-01-02": true, "Jan _2 15:04:05": true,
		"YYYY-MM-DD": false, "yyyy/MM/dd HH:mm:ss": false, "iso": false, "%q": false,
	} {
		var p conf.Problems
		c := Config{Timestamp: Timestamp{Layout: layout}}
		c.Validate(&p, "inputs[0]")
		if fine != (len(p.List) == 0) || !fine && !strings.Contains(p.List[0].Message, "names no part of a time") {
			t.Errorf("%q: %v", layout, p.List)
		}
	}
}

func TestValidate_RefusesADirectiveThatNoTimeWouldMatch(t *testing.T) {
	for layout, unknown := range map[string]string{"%D %T": "%D", "%Y-%m-%d %H:%M:%S.%3N": "%3", "%Y%": "%", "%Y %% %m": ""} {
		var p conf.Problems
		c := Config{Timestamp: Timestamp{Layout: layout}}
		c.Validate(&p, "inputs[0]")
		if (unknown == "") != (len(p.List) == 0) || unknown != "" && !strings.Contains(p.List[0].Message, `"`+unknown+`"`) {
			t.Errorf("%q: %v", layout, p.List)
		}
	}
}
