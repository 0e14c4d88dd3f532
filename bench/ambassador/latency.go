package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"
)

const (
	fixedRate        = 1000 // requests a second, which every peer can bear with the load on the other core
	fixedConnections = 32
)

// addedLatency measures what each proxy adds to an answer at a fixed rate. Requests are due at fixed times whatever became of
// those before, and their time runs from when they were due: a stall is felt by all that it holds up.
func addedLatency(o options, peers []*peer, b *backend) error {
	times := map[string][2][]float64{}
	for range o.rounds {
		for _, name := range append([]string{"direct"}, peerNames[:]...) {
			addr := b.addr[plain]
			if i := slices.IndexFunc(peers, func(p *peer) bool { return p.name == name }); i >= 0 {
				addr = peers[i].addr[plain]
			}
			out, err := again("rate", addr, strconv.Itoa(o.seconds))
			if err != nil {
				return err
			}
			var p50, p99 float64
			if _, err := fmt.Sscan(out, &p50, &p99); err != nil {
				return fmt.Errorf("rate printed %q: %w", out, err)
			}
			t := times[name]
			t[0], t[1] = append(t[0], p50), append(t[1], p99)
			times[name] = t
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\nµs added at %d requests/s, 128 B, %d connections\tp50\tp99\t\n", fixedRate, fixedConnections)
	direct := times["direct"]
	for _, name := range peerNames {
		t := times[name]
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t\n", name, median(t[0])-median(direct[0]), median(t[1])-median(direct[1]))
	}
	fmt.Fprintf(w, "(without a proxy\t%.0f\t%.0f)\t\n", median(direct[0]), median(direct[1]))
	return w.Flush()
}

// rateLoad sends at the fixed rate to ADDRESS for SECONDS and prints p50 and p99 in microseconds.
func rateLoad(args []string) {
	seconds, _ := strconv.Atoi(args[1])
	const every = time.Second / fixedRate
	begin := time.Now().Add(50 * time.Millisecond)
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	for i := range fixedConnections {
		c, err := net.Dial("tcp", args[0])
		if err != nil {
			log.Fatal(err)
		}
		wg.Go(func() {
			defer c.Close()
			var own []time.Duration
			for n := i; n < seconds*fixedRate; n += fixedConnections {
				due := begin.Add(time.Duration(n) * every)
				time.Sleep(time.Until(due))
				if err := askOnce(c); err != nil {
					log.Fatal(err)
				}
				own = append(own, time.Since(due))
			}
			mu.Lock()
			all = append(all, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.Sort(all)
	at := func(q float64) float64 { return float64(all[int(q*float64(len(all)-1))]) / 1e3 }
	fmt.Println(at(0.5), at(0.99))
}

// askOnce sends a request and reads an answer that ends with the 128th x in a row.
func askOnce(c net.Conn) error {
	if _, err := io.WriteString(c, "GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	var b [1024]byte
	for n := 0; n < 128 || b[n-1] != 'x' || b[n-128] != 'x'; {
		k, err := c.Read(b[n:])
		if err != nil {
			return err
		}
		n += k
	}
	return nil
}
