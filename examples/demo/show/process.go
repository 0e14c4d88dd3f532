package show

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// process is one container's process; its output goes to a file.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error // of its end; read after ended is closed
}

func (p *pod) launch(name, program string, args, env []string) error {
	log := filepath.Join(p.dir, name+".out")
	file, err := os.Create(log)
	if err != nil {
		return err
	}
	defer file.Close() // the process has its own descriptor
	if env == nil {
		env = []string{} // nil would hand on this machine's
	}
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = env, file, file, p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for the demo, which then stops them in order
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	started := &process{name: name, cmd: cmd, log: log, ended: make(chan struct{})}
	go func() {
		started.err = cmd.Wait()
		close(started.ended)
	}()
	p.processes = append(p.processes, started)
	return nil
}

// stop ends the Pod as a kubelet does: the app first, then the sidecars in reverse order; then what the Pod talked to,
// except the receiver, which is still asked what it has got.
func (p *pod) stop() error {
	var failed []error
	for _, each := range slices.Backward(p.processes) {
		if each.name == "sink" {
			continue
		}
		_ = each.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already: its exit tells
		select {
		case <-each.ended:
		case <-time.After(40 * time.Second):
			_ = each.cmd.Process.Kill()
			<-each.ended
		}
		if each.err != nil {
			failed = append(failed, fmt.Errorf("%s: %w%s", each.name, each.err, each.tail()))
		}
	}
	return errors.Join(failed...)
}

func (p *pod) kill() {
	for _, each := range p.processes {
		_ = each.cmd.Process.Kill()
		<-each.ended
	}
}

// lastWords are the last lines of every process, for the case that something failed.
func (p *pod) lastWords() error {
	var b strings.Builder
	for _, each := range p.processes {
		fmt.Fprintf(&b, "%s:%s\n", each.name, each.tail())
	}
	return errors.New(b.String())
}

func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return " " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "\n    " + strings.Join(lines[max(0, len(lines)-8):], "\n    ")
}
