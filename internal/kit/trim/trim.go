// Package trim makes the resident memory of a process no larger than what it uses.
package trim

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
)

// Idle is for a moment at which nothing is going on: it collects garbage, gives the free heap back, and calls Program.
func Idle() {
	debug.FreeOSMemory()
	Program()
}

// Program takes the pages of the executable itself out of the process. At the start the kernel maps nearly all of its twelve
// megabytes around the pages that are touched; one of them is in use after that. The pages stay in the page cache, from
// where those that are used are mapped again without a read.
func Program() {
	executable, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	for _, m := range clean(maps, executable) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.start, m.end-m.start, syscall.MADV_DONTNEED) // at worst they stay
	}
}

type mapping struct{ start, end uintptr }

// clean lists the mappings of path that hold nothing but what is in the file: not writable, and no page was ever changed
// (a linker may have relocated constants before they became read-only).
func clean(smaps io.Reader, path string) (list []mapping) {
	var m mapping
	candidate := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasSuffix(line, " "+path):
			var rights string
			_, err := fmt.Sscanf(line, "%x-%x %s", &m.start, &m.end, &rights)
			candidate = err == nil && strings.HasPrefix(rights, "r-")
		case strings.HasPrefix(line, "Anonymous:"): // one of the lines that follow
			if f := strings.Fields(line); candidate && len(f) == 3 && f[1] == "0" {
				list = append(list, m)
			}
			candidate = false
		}
	}
	return list
}
