package source

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Resources reads what processes and volumes use. Process is the name of a process (comm) that
// the helper can see, which needs shareProcessNamespace for the app's; Volumes are mounted paths.
// It yields text in the form of key: value documents with the final metric names; what
// cannot be read is left out and never zero.
type Resources struct {
	Process string
	Volumes []string
	Prefix  string
}

// ticksPerSecond is USER_HZ, which is 100 on every platform that Go runs Linux on.
const ticksPerSecond = 100

type usage struct{ user, system, rss, threads, fds float64 }

// Fetch implements Fetcher.
func (r Resources) Fetch(_ context.Context, buf []byte) ([]byte, error) {
	u, found, sawFDs := r.processes()
	if found {
		buf = fmt.Appendf(buf, "%s_cpu_seconds_total{mode=user} %g\n%[1]s_cpu_seconds_total{mode=system} %[3]g\n", r.Prefix, u.user, u.system)
		buf = fmt.Appendf(buf, "%s_memory_resident_bytes %g\n%[1]s_threads %[3]g\n", r.Prefix, u.rss, u.threads)
		if sawFDs {
			buf = fmt.Appendf(buf, "%s_open_fds %g\n", r.Prefix, u.fds)
		}
	}
	for _, path := range r.Volumes {
		var st syscall.Statfs_t
		if syscall.Statfs(path, &st) != nil {
			continue
		}
		size := float64(st.Bsize)
		buf = fmt.Appendf(buf, "%s_volume_used_bytes{path=%s} %g\n", r.Prefix, path, float64(st.Blocks-st.Bfree)*size)
		buf = fmt.Appendf(buf, "%s_volume_size_bytes{path=%s} %g\n", r.Prefix, path, float64(st.Blocks)*size)
	}
	if len(buf) == 0 {
		return buf, fmt.Errorf("read resources: no process called %q and no volume (set shareProcessNamespace: true)", r.Process)
	}
	return buf, nil
}

func (r Resources) processes() (sum usage, found, sawFDs bool) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() && r.Process == "" {
			continue
		}
		if u, ok := r.process(pid); ok {
			found = true
			sum.user, sum.system, sum.rss, sum.threads = sum.user+u.user, sum.system+u.system, sum.rss+u.rss, sum.threads+u.threads
			if fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
				sawFDs = true
				sum.fds += float64(len(fds))
			}
		}
	}
	return sum, found, sawFDs
}

// process reads /proc/PID/stat (proc_pid_stat(5)); the name may contain anything, so fields are
// counted from the last parenthesis.
func (r Resources) process(pid int) (usage, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if err != nil || open < 0 || end < open {
		return usage{}, false
	}
	if r.Process != "" && string(stat[open+1:end]) != r.Process {
		return usage{}, false
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 22 {
		return usage{}, false
	}
	at := func(i int) float64 { v, _ := strconv.ParseFloat(fields[i], 64); return v }
	return usage{user: at(11) / ticksPerSecond, system: at(12) / ticksPerSecond, threads: at(17), rss: at(21) * float64(os.Getpagesize())}, true
}
