package route

import (
	"fmt"
	"strings"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
)

// Rule is a rule of a table as a person wants to know it.
type Rule struct {
	Text   string         // routes[1], or to
	Mirror *layer7.Mirror // nil: none

	split string
}

// Share says how requests are split among several upstreams, on a line of its own; "" with one upstream.
func (r Rule) Share() string { return r.split }

// Explain is the rule that matches; false when none does.
func (t *Table) Explain(q *layer7.Request) (Rule, bool) {
	for i := range t.rules {
		if r := &t.rules[i]; r.matches(q) {
			return Rule{Text: r.text, Mirror: r.mirror, split: r.shares()}, true
		}
	}
	return Rule{}, false
}

func (r *rule) shares() string {
	if len(r.to) < 2 {
		return ""
	}
	var parts []string
	for _, to := range r.to {
		parts = append(parts, fmt.Sprintf("%s %d %%", to.up.Name(), 100*to.weight/r.total))
	}
	by := "at random"
	if r.splitBy != "" {
		by = "by " + r.splitBy
	}
	return "split     " + strings.Join(parts, ", ") + ", " + by + "\n"
}
