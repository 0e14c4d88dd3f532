package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"text/tabwriter"
)

// idleMemory starts each proxy afresh and holds connections open that have made one request each.
func idleMemory(o options, dir string, b *backend) error {
	counts := []int{0, 1000, o.connections}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\nRSS in MB with idle connections\t0\t1000\t%d\t\n", o.connections)
	for _, name := range peerNames {
		fmt.Fprint(w, name, "\t")
		if err := idleRow(w, counts, name, o, dir, b); err != nil {
			return fmt.Errorf("idle connections of %s: %w", name, err)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "goal\t12\t25\t130\t")
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
			c, err := net.Dial("tcp", p.addr[plain])
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
