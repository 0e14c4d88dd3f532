package rules_test

import (
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/rules"
)

func TestStatsDMapping_RefusesWhatStatsdExporterRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"mappings: [{match: a, name: x, observer_type: histo}]":             `mappings[0]: unknown observer_type "histo" (one of histogram, summary)`,
		"mappings: [{match: a, name: x, timer_type: histo}]":                `unknown timer_type "histo"`,
		"mappings: [{match: a, name: x, action: dorp}]":                     `unknown action "dorp" (one of map, drop)`,
		"mappings: [{match: a, name: x, match_type: regexp}]":               `unknown match_type "regexp"`,
		"mappings: [{match: a, name: x, match_metric_type: count}]":         `unknown match_metric_type "count"`,
		"mappings: [{match: a, name: x}, {match: b}]":                       "mappings[1]: it has no name",
		"defaults: {observer_type: histo}":                                  `defaults: unknown observer_type "histo"`,
		"mappings: [{match: a, action: drop, match_metric_type: observer}]": "",
	} {
		_, err := rules.StatsDMapping([]byte(text))
		if got := err; (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
			t.Errorf("%s: %v, want %s", text, got, want)
		}
	}
}
