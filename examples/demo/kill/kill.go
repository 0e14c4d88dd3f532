// Package kill ends a process of the Pod with SIGKILL, as a crash would: the drill that shows that a helper goes on where
// it was. It needs shareProcessNamespace and the victim's uid, and no other privilege.
package kill

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/pod-helpers/pod-helpers/examples/demo/flags"
)

// Main kills the process of an executable after a while, and then stays until ctx ends.
func Main(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("demo kill", flag.ContinueOnError)
	name := fs.String("name", "sidecar-logshipper", "executable's `name`")
	after := fs.Duration("after", 3*time.Second, "wait before")
	if err := flags.Parse(fs, args); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(*after):
	}
	pid, err := find(*name)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", *name, err)
	}
	fmt.Printf("killed %s, pid %d\n", *name, pid)
	<-ctx.Done()
	return nil
}

func find(name string) (int, error) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return 0, err
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && filepath.Base(target) == name {
			return strconv.Atoi(filepath.Base(filepath.Dir(link)))
		}
	}
	return 0, errors.New("find " + name + ": no such process (does the Pod share its process namespace, and is the uid the same?)")
}
