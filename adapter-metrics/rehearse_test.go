package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestLint_GetsEveryFamilyButNotEverySeries(t *testing.T) {
	var page strings.Builder
	for _, name := range []string{"a", "b"} {
		fmt.Fprintf(&page, "# TYPE %s gauge\n# HELP %[1]s X.\n", name)
		for i := range 20_000 {
			fmt.Fprintf(&page, "%s{x=\"%d\"} 1\n", name, i)
		}
	}
	if got := excerpt(page.String()); strings.Count(got, "# TYPE") != 2 || strings.Count(got, "\n") != 2*102 {
		t.Errorf("%d families, %d lines", strings.Count(got, "# TYPE"), strings.Count(got, "\n"))
	}
}
