package upstream

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	defaultKeepAlive = 30 * time.Second
	staleKeepAlive   = 4 * time.Second // once a reused connection died early
	keepAliveMargin  = time.Second     // less than what the upstream announced
	maxAge           = 10 * time.Minute
)

// idling is how long connections of one endpoint are kept while nothing is sent on them: less than the upstream keeps them.
type idling struct {
	keep  time.Duration
	stale atomic.Bool
}

// died notes that a reused connection was dead: the upstream closes idle ones sooner than we thought.
func (i *idling) died() { i.stale.Store(true) }

// after is how long to keep a connection whose last answer announced a time, 0 when it did not.
func (i *idling) after(announced time.Duration) time.Duration {
	switch {
	case announced > 0:
		return announced - keepAliveMargin
	case i.stale.Load():
		return min(i.keep, staleKeepAlive)
	}
	return i.keep
}

// oldAt is when a connection made now gets no more requests: ± 10 %, so that they do not all end at once.
func oldAt(now time.Time) time.Time { return now.Add(maxAge - maxAge/10 + rand.N(maxAge/5)) }

// announced reads `Keep-Alive: timeout=N`, 0 when it does not stand there.
func announced(field string) time.Duration {
	for part := range strings.SplitSeq(field, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil && strings.EqualFold(name, "timeout") {
			return time.Duration(n) * time.Second
		}
	}
	return 0
}
