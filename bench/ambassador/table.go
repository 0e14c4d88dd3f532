package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"text/tabwriter"
)

// table collects the work per CPU-second of each peer in each round.
type table struct {
	peers []*peer
	rates map[string]map[string][]float64 // case → peer
}

func newTable(peers []*peer) *table {
	fmt.Printf("%-26s", "per CPU-second (median)")
	for _, p := range peers {
		fmt.Printf("%14s", p.name)
	}
	fmt.Printf("%12s%12s%8s\n", "/ haproxy", "/ best peer", "goal")
	return &table{peers: peers, rates: map[string]map[string][]float64{}}
}

func (t *table) add(c job, p *peer, seconds int) error {
	addr := c.addr(p)
	if addr == "" {
		return nil
	}
	before, err := p.cpu()
	if err != nil {
		return err
	}
	work, err := c.load(addr, seconds)
	if err != nil {
		return err
	}
	after, err := p.cpu()
	if err != nil {
		return err
	}
	if t.rates[c.name] == nil {
		t.rates[c.name] = map[string][]float64{}
	}
	t.rates[c.name][p.name] = append(t.rates[c.name][p.name], work/max(after-before, 0.01))
	return nil
}

func (t *table) print(c job) {
	fmt.Printf("%-26s", c.name)
	best := 0.0
	for _, p := range t.peers {
		m := median(t.rates[c.name][p.name])
		if m == 0 {
			fmt.Printf("%14s", "–")
			continue
		}
		fmt.Printf("%14.0f", m)
		if p.name != "ours" {
			best = max(best, m)
		}
	}
	ours := median(t.rates[c.name]["ours"])
	fmt.Printf("%12.2f%12.2f%8.2f\n", ours/median(t.rates[c.name]["haproxy"]), ours/best, c.goal)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return (s[len(s)/2] + s[(len(s)-1)/2]) / 2
}

// idleMemory starts each proxy afresh and holds connections open that have made one request each.
func idleMemory(o options, dir string, b *backend) error {
	counts := []int{0, 1000, o.connections}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\nRSS in MB with idle connections\t0\t1000\t%d\t\n", o.connections)
	for _, name := range []string{"haproxy", "nginx", "ReverseProxy", "ours"} {
		fmt.Fprint(w, name, "\t")
		if err := idleRow(w, counts, name, o, dir, b); err != nil {
			return fmt.Errorf("idle connections of %s: %w", name, err)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func idleRow(w io.Writer, counts []int, name string, o options, dir string, b *backend) error {
	p, err := startPeer(name, o, dir, b)
	if err != nil {
		return err
	}
	defer p.stop()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for _, n := range counts {
		for len(open) < n {
			c, err := net.Dial("tcp", p.http)
			if err != nil {
				return err
			}
			open = append(open, c)
			fmt.Fprint(c, "GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				return err
			}
		}
		mb, err := p.rss()
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%.1f\t", mb)
	}
	return nil
}
