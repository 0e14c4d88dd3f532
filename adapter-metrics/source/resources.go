package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"
)

// Resources reads what an app uses: CPU, memory, threads, files and volumes. How much of it can be read depends on what
// the Pod allows, in three steps. Volumes always work. With shareProcessNamespace the app's processes are seen, and their
// /proc/PID/stat is summed. With the app's own uid besides, its container's cgroup and its open files are readable through
// /proc/PID/root. What cannot be read is left out and never zero.
//
// A document has a line name{label=value} number for each value; decode.Lines reads it. One Resources is used by
// one goroutine.
type Resources struct {
	Process string   // name of the app's processes (comm); empty means all but the helper's own container
	Volumes []string // mounted paths
	Prefix  string   // of the names
	Log     *slog.Logger

	proc    string // /proc, but for tests
	cpu     cpuMemory
	du      map[string]diskUse
	missing map[string]bool // volumes that were not there the last time
	advised string
}

// NewResources returns a source that has read nothing yet.
func NewResources(process string, volumes []string, prefix string, log *slog.Logger) *Resources {
	return &Resources{Process: process, Volumes: volumes, Prefix: prefix, Log: log, proc: "/proc", cpu: cpuMemory{last: map[string]cpuTime{}}, du: map[string]diskUse{}, missing: map[string]bool{}}
}

// ErrNoProcess says that the app is not running, or not visible.
var ErrNoProcess = errors.New("read resources: no process of the app is visible (is it running? set shareProcessNamespace: true)")

// Fetch implements Fetcher.
func (r *Resources) Fetch(ctx context.Context, buf []byte) ([]byte, error) {
	out := &lines{buf: buf, prefix: r.Prefix}
	list := r.processes()
	r.container(out, list)
	var missing error
	for _, path := range r.Volumes {
		missing = errors.Join(missing, r.volume(ctx, out, path))
	}
	if len(list) == 0 && (len(r.Volumes) == 0 || r.Process != "") {
		r.advise("no process of the app is visible", "shareProcessNamespace: true")
		missing = errors.Join(missing, ErrNoProcess)
	}
	if len(out.buf) == len(buf) {
		return out.buf, missing
	}
	return out.buf, nil
}

// container writes what the app's cgroups say, and of the rest what its processes say.
func (r *Resources) container(out *lines, list []process) {
	if len(list) == 0 {
		return
	}
	groups, unreadable := r.cgroups(list)
	used := groups.sum()
	sum := r.cpu.add(list)
	if used.cpu == nil {
		used.cpu = &sum
	}
	out.put("cpu_seconds_total{mode=user}", &used.cpu.user)
	out.put("cpu_seconds_total{mode=system}", &used.cpu.system)
	out.put("cpu_throttled_seconds_total", used.throttled)
	out.put("memory_working_set_bytes", used.workingSet)
	out.put("memory_limit_bytes", used.limit)
	out.put("oom_kills_total", used.oomKills)
	var resident, threads, fds float64
	sawFDs := true
	for _, p := range list {
		resident, threads = resident+p.resident, threads+p.threads
		entries, err := os.ReadDir(p.dir + "/fd")
		fds, sawFDs = fds+float64(len(entries)), sawFDs && err == nil
		unreadable = unreadable || errors.Is(err, os.ErrPermission)
	}
	out.put("memory_resident_bytes", &resident)
	out.put("threads", &threads)
	n := float64(len(list))
	out.put("processes", &n)
	if sawFDs {
		out.put("open_fds", &fds)
	}
	if unreadable {
		r.advise("the app's cgroup and open files are not readable", fmt.Sprintf("securityContext.runAsUser: %d", list[0].uid))
	}
}

// advise says once what would open more.
func (r *Resources) advise(what, setting string) {
	if advice := what + setting; r.advised != advice {
		r.advised = advice
		r.Log.Info("resources are read in part", "because", what, "set", setting)
	}
}

// lines builds the document.
type lines struct {
	buf    []byte
	prefix string
}

// put writes a value, unless it could not be read.
func (l *lines) put(name string, v *float64) {
	if v == nil {
		return
	}
	if l.prefix != "" {
		l.buf = append(append(l.buf, l.prefix...), '_')
	}
	l.buf = fmt.Appendf(l.buf, "%s %v\n", name, *v)
}

// diskUse is what a volume held when it was counted.
type diskUse struct {
	at    time.Time
	bytes float64
	files float64
	ok    bool
}

// ResourceHelp are the names that Resources uses, without prefix, and what they mean.
func ResourceHelp() map[string]string {
	return map[string]string{
		"cpu_seconds_total":                 "CPU time of the app's container, or of its processes where that cannot be read.",
		"cpu_throttled_seconds_total":       "How long the container wanted to run but had used up its CPU limit.",
		"memory_working_set_bytes":          "Memory of the container less inactive file cache: what the kubelet compares with the limit.",
		"memory_limit_bytes":                "Memory limit of the container.",
		"memory_resident_bytes":             "Resident memory of the app's processes.",
		"oom_kills_total":                   "Processes of the container that were killed because of its memory limit.",
		"threads":                           "Threads of the app's processes.",
		"processes":                         "Processes of the app.",
		"open_fds":                          "Open files of the app's processes.",
		"volume_used_bytes":                 "What the files of a volume take up on disk, counted at most once a minute.",
		"volume_files":                      "Files and directories of a volume, counted at most once a minute.",
		"volume_filesystem_size_bytes":      "Size of the file system that a volume is on, which for an emptyDir is the node's.",
		"volume_filesystem_available_bytes": "What is left of the file system that a volume is on.",
	}
}

// ResourceNames are the keys of ResourceHelp in order.
func ResourceNames() []string {
	var names []string
	for name := range ResourceHelp() {
		names = append(names, name)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
