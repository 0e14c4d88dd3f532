package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// traffic is what a StatsD case sends.
type traffic struct {
	network string
	lines   int    // a packet
	series  int    //
	tags    int    //
	typ     string // c or ms
	rate    int    // packets a second; 0 is as fast as possible
}

// sent runs the load generator, pinned to its core, and returns how many lines it has sent.
func (t traffic) sent(address string, duration time.Duration) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command("taskset", "-c", loadCore, self, "load", t.network, address, strconv.Itoa(t.lines), strconv.Itoa(t.series),
		strconv.Itoa(t.tags), t.typ, strconv.Itoa(t.rate), duration.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("load %s: %w", address, err)
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

// load is the generator. A duration of 0 sends each series once, slowly enough for any peer.
func load(args []string) error {
	number := func(i int) int { n, _ := strconv.Atoi(args[i]); return n }
	t := traffic{network: args[0], lines: number(2), series: number(3), tags: number(4), typ: args[5], rate: number(6)}
	duration, err := time.ParseDuration(args[7])
	if err != nil {
		return err
	}
	c, err := net.Dial(t.network, args[1])
	if err != nil {
		return err
	}
	defer c.Close()
	packets := t.packets()
	sent := 0
	if duration == 0 {
		for _, p := range packets {
			if _, err := c.Write(p); err != nil {
				return err
			}
			sent += t.lines
			time.Sleep(time.Duration(t.lines) * 15 * time.Microsecond)
		}
		fmt.Println(sent)
		return nil
	}
	began := time.Now()
	for i := 0; ; i++ {
		if i%64 == 0 {
			for t.rate > 0 && float64(i) > time.Since(began).Seconds()*float64(t.rate) {
			}
			if time.Since(began) > duration {
				break
			}
		}
		if _, err := c.Write(packets[i%len(packets)]); err != nil {
			return err
		}
		sent += t.lines
	}
	fmt.Println(sent)
	return nil
}

// packets holds each series once, in random order.
func (t traffic) packets() [][]byte {
	var out [][]byte
	var p []byte
	n := 0
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(max(t.series, t.lines)) {
		i %= t.series
		if t.tags > 0 {
			p = fmt.Appendf(p, "bench.web.requests%d:1|%s|#instance:i%d", i%10, t.typ, i)
			for k := 1; k < t.tags; k++ {
				p = fmt.Appendf(p, ",label%d:value%d", k, i%(k+1))
			}
		} else {
			p = fmt.Appendf(p, "bench.web.requests.item%06d:%d|%s", i, 1+i*7%900, t.typ)
		}
		p = append(p, '\n')
		if n++; n%t.lines == 0 {
			if t.network != "tcp" { // a stream needs the last line feed, a packet does not
				p = p[:len(p)-1]
			}
			out, p = append(out, p), nil
		}
	}
	return out
}
