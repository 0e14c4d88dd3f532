package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	proxyCore = "0"
	loadCore  = "1"
)

// process is a pinned child.
type process struct {
	cmd *exec.Cmd
	log bytes.Buffer
}

func start(core string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command("taskset", append([]string{"-c", core}, args...)...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	return p, nil
}

func (p *process) stop() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// cpu is the CPU time used so far in seconds: user and system, of all threads. /proc counts it in hundredths, which is too coarse
// for a second of a proxy that mostly waits; the clock of a process (clock_getcpuclockid(3)) has nanoseconds.
func (p *process) cpu() (float64, error) {
	const processWide = 2
	var t unix.Timespec
	err := unix.ClockGettime(int32(^p.cmd.Process.Pid)<<3|processWide, &t)
	return float64(t.Nano()) / 1e9, err
}

// rss is the resident memory in MB.
func (p *process) rss() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	return float64(kb) / 1024, err
}

// waitFor waits until something listens at an address.
func (p *process) waitFor(addr string) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("nothing listens at %s after 10 s:\n%s", addr, p.log.String())
}

// freeAddress is a loopback address on which nothing listens at the moment.
func freeAddress() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
