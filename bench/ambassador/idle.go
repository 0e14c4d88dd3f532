package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
)

// idleMemory starts each proxy afresh and holds connections open that have made one request each.
func idleMemory(o options, t *table, dir string, b *backend) error {
	counts, goals := []int{0, 1000, o.connections}, []string{"≤ 12", "≤ 25", "≤ 130"}
	rows := make([]map[string]float64, len(counts))
	for i := range rows {
		rows[i] = map[string]float64{}
	}
	for _, name := range peerNames {
		if err := idleColumn(rows, counts, name, o, dir, b); err != nil {
			return fmt.Errorf("idle connections of %s: %w", name, err)
		}
	}
	fmt.Println("MB resident (less is better)")
	for i, n := range counts {
		t.amounts(fmt.Sprintf("%d idle connections", n), rows[i], goals[i])
	}
	return nil
}

func idleColumn(rows []map[string]float64, counts []int, name string, o options, dir string, b *backend) error {
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
	for i, n := range counts {
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
		rows[i][name] = mb
	}
	return nil
}
