package source

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// fileID tells one directory from another, whatever paths lead to them.
type fileID struct{ device, inode uint64 }

// usage is what a cgroup says; nil is what it does not.
type usage struct {
	cpu                                    *cpuTime
	throttled, workingSet, limit, oomKills *float64
}

type usages []usage

// sum adds up what all of them know.
func (list usages) sum() (total usage) {
	add := func(to **float64, v *float64) {
		if v == nil {
			return
		}
		if *to == nil {
			*to = new(float64)
		}
		**to += *v
	}
	for _, u := range list {
		add(&total.throttled, u.throttled)
		add(&total.workingSet, u.workingSet)
		add(&total.limit, u.limit)
		add(&total.oomKills, u.oomKills)
		if u.cpu == nil {
			continue
		}
		if total.cpu == nil {
			total.cpu = &cpuTime{}
		}
		total.cpu.user += u.cpu.user
		total.cpu.system += u.cpu.system
	}
	return total
}

// cgroups reads the cgroup of each container that the processes are in. unreadable says that one was not allowed to be.
func (r *Resources) cgroups(list []process) (out usages, unreadable bool) {
	seen := map[fileID]bool{}
	for _, p := range list {
		id, err := groupID(p.dir)
		unreadable = unreadable || errors.Is(err, os.ErrPermission)
		if err != nil || seen[id] {
			continue
		}
		seen[id] = true
		g := newGroup(p.dir)
		if g.unified {
			out = append(out, g.readV2())
		} else {
			out = append(out, g.readV1())
		}
	}
	return out, unreadable
}

// groupID identifies the cgroup of the process at dir by the directory that its container has mounted.
func groupID(dir string) (fileID, error) {
	info, err := os.Stat(newGroup(dir).dir("memory"))
	if err != nil {
		return fileID{}, err
	}
	s := info.Sys().(*syscall.Stat_t)
	return fileID{uint64(s.Dev), s.Ino}, nil
}

// group is a process's cgroup, as its own container sees it.
type group struct {
	mount   string            // /proc/PID/root/sys/fs/cgroup
	paths   map[string]string // by controller; "" is that of version 2
	unified bool
}

func newGroup(dir string) group {
	g := group{mount: dir + "/root/sys/fs/cgroup", paths: map[string]string{}}
	_, err := os.Stat(g.mount + "/cgroup.controllers")
	g.unified = err == nil
	text, _ := os.ReadFile(dir + "/cgroup") // hierarchy-ID:controllers:path, cgroups(7)
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, where, _ := strings.Cut(rest, ":")
		for c := range strings.SplitSeq(controllers, ",") {
			g.paths[c] = where
		}
	}
	return g
}

// dir is the directory of a controller. A container runtime mounts the container's own cgroup at the root; the path that
// /proc/PID/cgroup names leads anywhere only where the whole hierarchy is mounted.
func (g group) dir(controller string) string {
	root, where := g.mount+"/"+controller, g.paths[controller]
	if g.unified {
		root, where = g.mount, g.paths[""]
	}
	if full := path.Join(root, where); !strings.Contains(where, "..") {
		if _, err := os.Stat(full); err == nil {
			return full
		}
	}
	return root
}

// number reads a file that holds one. "max" and what version 1 says for it are no number.
func (g group) number(controller, file string) *float64 {
	text, err := os.ReadFile(g.dir(controller) + "/" + file)
	v, bad := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	const unlimited = 1 << 62
	if err != nil || bad != nil || v >= unlimited {
		return nil
	}
	return &v
}

// stat reads a file of lines "key number".
func (g group) stat(controller, file string) map[string]float64 {
	text, _ := os.ReadFile(g.dir(controller) + "/" + file)
	out := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			out[key] = v
		}
	}
	return out
}

func scaled(m map[string]float64, key string, factor float64) *float64 {
	v, ok := m[key]
	if !ok {
		return nil
	}
	v *= factor
	return &v
}

// workingSet is what the kubelet calls so: usage less inactive_file.
func workingSet(used *float64, stat map[string]float64, key string) *float64 {
	if used == nil {
		return nil
	}
	v := max(0, *used-stat[key])
	return &v
}

// readV2 follows Documentation/admin-guide/cgroup-v2.rst.
func (g group) readV2() (u usage) {
	cpu := g.stat("cpu", "cpu.stat")
	if user, ok := cpu["user_usec"]; ok {
		u.cpu = &cpuTime{user: user / 1e6, system: cpu["system_usec"] / 1e6}
	}
	u.throttled = scaled(cpu, "throttled_usec", 1e-6)
	u.workingSet = workingSet(g.number("memory", "memory.current"), g.stat("memory", "memory.stat"), "inactive_file")
	u.limit = g.number("memory", "memory.max")
	u.oomKills = scaled(g.stat("memory", "memory.events"), "oom_kill", 1)
	return u
}

// readV1 follows Documentation/admin-guide/cgroup-v1.
func (g group) readV1() (u usage) {
	if acct := g.stat("cpuacct", "cpuacct.stat"); len(acct) > 0 {
		u.cpu = &cpuTime{user: acct["user"] / ticksPerSecond, system: acct["system"] / ticksPerSecond}
	}
	u.throttled = scaled(g.stat("cpu", "cpu.stat"), "throttled_time", 1e-9)
	u.workingSet = workingSet(g.number("memory", "memory.usage_in_bytes"), g.stat("memory", "memory.stat"), "total_inactive_file")
	u.limit = g.number("memory", "memory.limit_in_bytes")
	u.oomKills = scaled(g.stat("memory", "memory.oom_control"), "oom_kill", 1)
	return u
}
