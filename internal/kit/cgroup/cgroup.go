// Package cgroup reads the memory limit of the container (cgroup v1 and v2) and makes it the soft limit of the Go runtime,
// so that the collector works harder before the kernel kills.
package cgroup

import (
	"context"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// share of the limit that the heap may use; the rest is for stacks, the kernel's buffers and what the runtime does not count.
const share = 0.9

// memoryLimit is the container's memory limit in bytes; false when there is none.
// root is the file system root, "/" in production.
func memoryLimit(root string) (int64, bool) {
	for _, file := range []string{
		"sys/fs/cgroup/memory.max",                   // v2
		"sys/fs/cgroup/memory/memory.limit_in_bytes", // v1
	} {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
		// v2 says "max", v1 a number near 2^63 rounded to a page, when there is no limit
		if err != nil || limit <= 0 || limit >= math.MaxInt64/2 {
			return 0, false
		}
		return limit, true
	}
	return 0, false
}

// Follow sets the soft limit now and each minute, because a Pod may be resized in place, until ctx ends.
// It does nothing when GOMEMLIMIT is set: the user has decided.
func Follow(ctx context.Context, log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	last := int64(0)
	for {
		if limit, ok := memoryLimit("/"); ok && limit != last {
			last = limit
			debug.SetMemoryLimit(int64(float64(limit) * share))
			log.Debug("memory limit set", "cgroup_bytes", limit, "soft_bytes", int64(float64(limit)*share))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
