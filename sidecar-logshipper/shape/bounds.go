package shape

import (
	"math"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

func newSampler(s *Sample) (record.Stage, error) {
	var only *condition
	if s.If != "" {
		c, err := newCondition(s.If)
		if err != nil {
			return nil, err
		}
		only = c
	}
	threshold := uint64(s.Rate * math.MaxUint32)
	return stageFunc(func(r *record.Record) string {
		if only != nil && !only.holds(r) {
			return ""
		}
		id := r.ID()
		return when(xxhash.Sum64(id[:])>>32 >= threshold && s.Rate < 1, ReasonSample)
	}), nil
}

// limiter is a token bucket for each key.
type limiter struct {
	rate, burst float64
	per         []string
	buckets     map[string]*bucket
	key         strings.Builder
}

type bucket struct {
	tokens float64
	filled time.Time
}

// maxBuckets bounds the memory of keys that are never the same twice; beyond it all of them start anew.
const maxBuckets = 10_000

func newLimiter(l *Limit) *limiter {
	burst := float64(l.Burst)
	if burst <= 0 {
		burst = max(float64(l.Rate), 1)
	}
	return &limiter{rate: float64(l.Rate), burst: burst, per: l.Per, buckets: map[string]*bucket{}}
}

// Apply takes a token, or drops r.
func (l *limiter) Apply(r *record.Record) (drop string) {
	if r.Kept {
		return "" // it has had its token
	}
	now := time.Now()
	b := l.bucket(r, now)
	b.tokens = min(l.burst, b.tokens+now.Sub(b.filled).Seconds()*l.rate)
	b.filled = now
	if b.tokens < 1 {
		return ReasonLimit
	}
	b.tokens--
	return ""
}

func (l *limiter) bucket(r *record.Record, now time.Time) *bucket {
	l.key.Reset()
	for _, name := range l.per {
		switch f := r.Field(name); {
		case f != nil:
			l.key.Write(f.Value)
		case name == "file" && r.Source != nil:
			l.key.WriteString(r.Source.Path)
		case name == "level":
			l.key.WriteString(r.Level)
		}
		l.key.WriteByte(0)
	}
	b := l.buckets[l.key.String()]
	if b == nil {
		if len(l.buckets) >= maxBuckets {
			clear(l.buckets)
		}
		b = &bucket{tokens: l.burst, filled: now}
		l.buckets[l.key.String()] = b
	}
	return b
}
