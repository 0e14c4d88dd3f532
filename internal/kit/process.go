package kit

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// ticksPerSecond is USER_HZ, in which /proc counts time: 100 on every Linux.
const ticksPerSecond = 100

// processMetrics are the standard process_* metrics, asked anew at each scrape. client_golang's collector reads five files of
// /proc for them, which takes more CPU time than a small page; two of its metrics are the traffic of the whole Pod, whose
// network the containers share, under the name of the process, and are left out here.
type processMetrics struct {
	cpu, openFDs, maxFDs, virtual, virtualMax, resident, start *prometheus.Desc

	startSeconds float64 // 0 when it cannot be known
	pageBytes    float64
}

func newProcessMetrics() *processMetrics {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc("process_"+name, help, nil, nil) }
	return &processMetrics{
		cpu:          desc("cpu_seconds_total", "Total user and system CPU time spent in seconds."),
		openFDs:      desc("open_fds", "Number of open file descriptors."),
		maxFDs:       desc("max_fds", "Maximum number of open file descriptors."),
		virtual:      desc("virtual_memory_bytes", "Virtual memory size in bytes."),
		virtualMax:   desc("virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes."),
		resident:     desc("resident_memory_bytes", "Resident memory size in bytes."),
		start:        desc("start_time_seconds", "Start time of the process since unix epoch in seconds."),
		startSeconds: startSeconds(),
		pageBytes:    float64(os.Getpagesize()),
	}
}

// Describe implements prometheus.Collector.
func (m *processMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.cpu, m.openFDs, m.maxFDs, m.virtual, m.virtualMax, m.resident, m.start} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. What cannot be read is left out.
func (m *processMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		spent := usage.Utime.Nano() + usage.Stime.Nano()
		ch <- prometheus.MustNewConstMetric(m.cpu, prometheus.CounterValue, float64(spent)/1e9)
	}
	if n, ok := openFiles(); ok {
		gauge(m.openFDs, n)
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		gauge(m.maxFDs, float64(limit.Cur))
	}
	if syscall.Getrlimit(syscall.RLIMIT_AS, &limit) == nil {
		gauge(m.virtualMax, float64(limit.Cur))
	}
	var text [128]byte
	if f := bytes.Fields(read("/proc/self/statm", text[:])); len(f) > 1 { // proc(5): size and resident, in pages
		gauge(m.virtual, number(f[0])*m.pageBytes)
		gauge(m.resident, number(f[1])*m.pageBytes)
	}
	if m.startSeconds > 0 {
		gauge(m.start, m.startSeconds)
	}
}

// read fills buf from the start of a file of /proc. Those never block, so nothing is gained by the runtime's poller, with which
// os.ReadFile takes twice the time.
func read(name string, buf []byte) []byte {
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	n, err := syscall.Read(fd, buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

func number(b []byte) float64 {
	n, _ := strconv.ParseUint(string(b), 10, 64)
	return float64(n)
}

// openFiles asks the size of the directory, which since Linux 6.2 is how many it lists, and counts them on older ones.
func openFiles() (float64, bool) {
	const dir = "/proc/self/fd"
	var st syscall.Stat_t
	if syscall.Stat(dir, &st) == nil && st.Size > 0 {
		return float64(st.Size), true
	}
	list, err := os.ReadDir(dir)
	return float64(len(list) - 1), err == nil // without the one that lists
}

// startSeconds is when the process began: so many ticks after the machine did (proc(5): starttime in /proc/PID/stat, btime in
// /proc/stat).
func startSeconds() float64 {
	const state, start = 3, 22 // fields; the second one is in parentheses and may hold anything
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	machine, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(own[bytes.LastIndexByte(own, ')')+1:])
	_, rest, ok := bytes.Cut(machine, []byte("\nbtime "))
	boot, _, _ := bytes.Cut(rest, []byte("\n"))
	if !ok || len(fields) <= start-state {
		return 0
	}
	return number(boot) + number(fields[start-state])/ticksPerSecond
}
