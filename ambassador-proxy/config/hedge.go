package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Hedge says when a request is sent a second time without waiting for the first answer.
type Hedge struct {
	After string `yaml:"after" doc:"A percentile of the recent latencies, such as p95, or a duration."`
}

// Parse is the quantile between 0 and 1, or the duration when that is 0.
func (h *Hedge) Parse() (quantile float64, after time.Duration, err error) {
	if digits, ok := strings.CutPrefix(h.After, "p"); ok {
		n, err := strconv.Atoi(digits)
		if err != nil || n < 50 || n > 99 {
			return 0, 0, fmt.Errorf("%q is not p50 to p99", h.After)
		}
		return float64(n) / 100, 0, nil
	}
	after, err = time.ParseDuration(h.After)
	if err != nil || after <= 0 {
		return 0, 0, fmt.Errorf("%q is neither a percentile such as p95 nor a duration", h.After)
	}
	return 0, after, nil
}
