//go:build peers

// Package peers keeps the programs that bench/adapter builds among this module's dependencies.
package peers

import (
	_ "github.com/prometheus-community/json_exporter"
	_ "github.com/prometheus/statsd_exporter"
)
