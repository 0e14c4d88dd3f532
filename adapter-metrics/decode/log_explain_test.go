package decode

import "testing"

// TestExplain_SaysWhereALineDoesNotFitExactlyWhenDecodeRefusesIt also guards the two walks over a pattern against each other.
func TestExplain_SaysWhereALineDoesNotFitExactlyWhenDecodeRefusesIt(t *testing.T) {
	for _, c := range []struct{ pattern, line, why string }{
		{"<{a}> {n:int}.", "<x> 1.", ""},
		{"<{a}> {n:int}.", "<x> -.", ""},
		{"<{a}> {n:int}.", "x> 1.", `it does not begin with "<"`},
		{"<{a}> {n:int}.", "<x 1.", `no "> " ends {a}, which begins at "x 1."`},
		{"<{a}> {n:int}.", "<x> y.", `{n:int} is "y"`},
		{"<{a}> {n:int}.", "<x> 1. more", `it goes on with " more"`},
		{"{a} {}", "x", `no " " ends {a}, which begins at "x"`},
	} {
		d, store := newLog(t, LogOptions{Pattern: c.pattern, Metrics: []LogMetric{{Name: "n"}}})
		var why []string
		d.Explain([]byte(c.line+"\r\n\n"), func(l *LogLine) { why = append(why, l.Why) })
		if len(why) != 1 || why[0] != c.why || samples(t, store) != "" || d.Lines() != 0 {
			t.Errorf("%s with %s: %q, and %q counted", c.pattern, c.line, why, samples(t, store))
		}
		d.Decode([]byte(c.line))
		if taken := samples(t, store) != ""; taken != (c.why == "") {
			t.Errorf("%s with %s: taken %v", c.pattern, c.line, taken)
		}
	}
}
