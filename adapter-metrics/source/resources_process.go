package source

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ticksPerSecond is USER_HZ, which is 100 on every platform that Go runs Linux on.
const ticksPerSecond = 100

// commBytes is how much of a name the kernel keeps (TASK_COMM_LEN less its zero).
const commBytes = 15

// process is one process of the app.
type process struct {
	pid      int
	uid      uint32
	dir      string // /proc/PID
	started  string // its start tells a process from a later one of that number
	cpu      cpuTime
	resident float64
	threads  float64
}

type cpuTime struct{ user, system float64 } // seconds

// processes lists the app's.
func (r *Resources) processes() []process {
	entries, _ := os.ReadDir(r.proc)
	own, _ := groupID(r.proc + "/self")
	var list []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() && r.Process == "" {
			continue
		}
		p, name, ok := readProcess(fmt.Sprintf("%s/%d", r.proc, pid))
		if !ok || !r.wants(name) {
			continue
		}
		if r.Process == "" {
			if id, err := groupID(p.dir); err == nil && id == own {
				continue // another process of the helper's own container
			}
		}
		p.pid = pid
		list = append(list, p)
	}
	return list
}

// wants picks by name. The container that only holds a Pod's namespaces is nobody's app.
func (r *Resources) wants(name string) bool {
	if r.Process == "" {
		return name != "pause"
	}
	return name == r.Process[:min(len(r.Process), commBytes)]
}

// readProcess reads /proc/PID/stat (proc_pid_stat(5)); the name may contain anything, so fields are
// counted from the last parenthesis.
func readProcess(dir string) (p process, name string, ok bool) {
	stat, err := os.ReadFile(dir + "/stat")
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if err != nil || open < 0 || end < open {
		return p, "", false
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 22 {
		return p, "", false
	}
	at := func(i int) float64 { v, _ := strconv.ParseFloat(fields[i], 64); return v }
	p = process{
		dir: dir, started: fields[19], threads: at(17), resident: at(21) * float64(os.Getpagesize()),
		cpu: cpuTime{user: at(11) / ticksPerSecond, system: at(12) / ticksPerSecond},
	}
	if info, err := os.Stat(dir); err == nil {
		p.uid = info.Sys().(*syscall.Stat_t).Uid
	}
	return p, string(stat[open+1 : end]), true
}

// cpuMemory keeps the CPU time of processes that have ended, so that the sum never falls.
type cpuMemory struct {
	last map[string]cpuTime // by pid and start
	sum  cpuTime
}

func (m *cpuMemory) add(list []process) cpuTime {
	now := make(map[string]cpuTime, len(list))
	for _, p := range list {
		key := fmt.Sprint(p.pid, " ", p.started)
		before := m.last[key]
		m.sum.user += max(0, p.cpu.user-before.user)
		m.sum.system += max(0, p.cpu.system-before.system)
		now[key] = p.cpu
	}
	m.last = now
	return m.sum
}
