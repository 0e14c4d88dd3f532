package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// peakMB is the most memory that a process has ever had, in MB.
func peakMB(t *testing.T, p *kittest.Process) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in\n%s", status)
	}
	kb, _ := strconv.Atoi(string(m[1]))
	return kb >> 10
}

// pattern is an endless stream of bytes that differ from place to place.
type pattern struct{ at int64 }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte((p.at + int64(i)) * 2654435761 >> 16)
	}
	p.at += int64(len(b))
	return len(b), nil
}

// same reads size bytes and compares them with the pattern.
func same(t *testing.T, r io.Reader, size int64) {
	t.Helper()
	got, want := make([]byte, 1<<20), make([]byte, 1<<20)
	for p := (&pattern{}); size > 0; {
		n := min(size, int64(len(got)))
		if _, err := io.ReadFull(r, got[:n]); err != nil {
			t.Fatal(err)
		}
		_, _ = p.Read(want[:n])
		if !bytes.Equal(got[:n], want[:n]) {
			t.Fatal("the value came back changed")
		}
		size -= n
	}
}

const (
	largeBytes = 100 << 20
	largeMB    = 12 // how much more than before may be held for it; none was measured
)

func TestReal_ValuesOf100MBPassTheShardingAmbassadorInBoundedMemory(t *testing.T) {
	for _, row := range []struct{ name, scheme, set, stored, get, found, end string }{
		{"redis", "redis", "*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$%d\r\n", "+OK\r\n", "*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n", "$%d\r\n", "\r\n"},
		{"memcached", "memcached", "set large 0 0 %d\r\n", "STORED\r\n", "get large\r\n", "VALUE large 0 %d\r\n", "\r\nEND\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var servers []string
			if row.scheme == "redis" {
				servers, _ = redisServers(t, 2)
			} else {
				servers = memcachedServers(t, 2, "-m", "1024", "-I", "200m")
			}
			address, _, ambassador := proxied(t, row.scheme+"://"+servers[0]+","+servers[1])
			p := dialPeer(t, address)
			_ = p.SetDeadline(time.Now().Add(2 * time.Minute))
			fmt.Fprintf(p, row.set, 5)
			_, _ = io.WriteString(p, "small\r\n")
			if got := p.line() + "\r\n"; got != row.stored {
				t.Fatal(got)
			}
			before := peakMB(t, ambassador)
			fmt.Fprintf(p, row.set, largeBytes)
			if _, err := io.CopyN(p, bufio.NewReaderSize(&pattern{}, 1<<20), largeBytes); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(p, "\r\n"+row.get)
			if got := p.line() + "\r\n"; got != row.stored {
				t.Fatal(got)
			}
			if got, want := p.line()+"\r\n", fmt.Sprintf(row.found, largeBytes); got != want {
				t.Fatalf("%q, want %q", got, want)
			}
			same(t, p.r, largeBytes)
			end := make([]byte, len(row.end))
			if _, err := io.ReadFull(p.r, end); err != nil || string(end) != row.end {
				t.Errorf("%q, %v", end, err)
			}
			if grown := peakMB(t, ambassador) - before; grown > largeMB {
				t.Errorf("the ambassador took %d MB more for it", grown)
			} else {
				t.Logf("%d MB more than %d", grown, before)
			}
		})
	}
}
