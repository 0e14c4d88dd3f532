package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	testCore = "0"
	loadCore = "1"
)

// process is a pinned child with a metrics page.
type process struct {
	cmd  *exec.Cmd
	log  bytes.Buffer
	page string // URL
}

// start starts a program under test and returns when its page is there.
func start(page string, args ...string) (*process, error) { return startOn(testCore, page, args...) }

func startOn(core, page string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command("taskset", append([]string{"-c", core}, args...)...), page: page}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	for range 500 {
		time.Sleep(20 * time.Millisecond)
		if res, err := http.Get(page); err == nil {
			res.Body.Close()
			return p, nil
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s does not answer after 10 s:\n%s", args[0], p.log.String())
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// cpu is the CPU time used so far: user and system, in seconds. USER_HZ is 100 on every Linux.
func (p *process) cpu() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return float64(user+system) / 100
}

// idle waits until the program has worked off what it was sent.
func (p *process) idle() {
	for last := -1.0; ; time.Sleep(100 * time.Millisecond) {
		now := p.cpu()
		if now-last < 0.02 {
			return
		}
		last = now
	}
}

// rss is the resident memory in MB.
func (p *process) rss() float64 { return p.memory("VmRSS:") }

// peak is the most that was resident so far, in MB.
func (p *process) peak() float64 { return p.memory("VmHWM:") }

func (p *process) memory(what string) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(b), what)
	if !ok {
		return 0
	}
	kb, _ := strconv.Atoi(strings.Fields(rest)[0])
	return float64(kb) / 1024
}

// scrape fetches the page into w and returns how long that took.
func (p *process) scrape(head map[string]string, w io.Writer) (time.Duration, error) {
	r, err := http.NewRequest("GET", p.page, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Accept-Encoding", "identity")
	for k, v := range head {
		r.Header.Set(k, v)
	}
	began := time.Now()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(w, res.Body)
	if res.StatusCode != 200 {
		err = errors.Join(err, fmt.Errorf("scrape %s: %s", p.page, res.Status))
	}
	return time.Since(began), err
}

// counter sums a metric of the program's page over its labels.
func (p *process) counter(name string) (float64, error) {
	var body bytes.Buffer
	if _, err := p.scrape(nil, &body); err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^`+name+`(?:\{[^}]*\})? (\S+)$`).FindAllSubmatch(body.Bytes(), -1)
	sum := 0.0
	for _, m := range found {
		v, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	if len(found) == 0 {
		return 0, fmt.Errorf("no %s on %s", name, p.page)
	}
	return sum, nil
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
