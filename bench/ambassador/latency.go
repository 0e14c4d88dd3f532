package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	fixedRate        = 1000 // requests a second, which every peer can bear with the load on the other core
	fixedConnections = 32
)

// addedLatency measures what each proxy adds to an answer at a fixed rate. Requests are due at fixed times whatever became of
// those before, and their time runs from when they were due: a stall is felt by all that it holds up.
func addedLatency(o options, t *table, b *backend) error {
	added50, added99 := map[string][]float64{}, map[string][]float64{}
	for round := range o.rounds {
		direct50, direct99, err := latency(b.addr[plain], o.seconds)
		if err != nil {
			return err
		}
		for _, p := range inTurn(t.peers, round) {
			p50, p99, err := latency(p.addr[plain], o.seconds)
			if err != nil {
				return fmt.Errorf("latency through %s: %w", p.name, err)
			}
			added50[p.name] = append(added50[p.name], p50-direct50)
			added99[p.name] = append(added99[p.name], p99-direct99)
		}
	}
	fmt.Printf("µs added, 128 B, %d connections, %d requests/s (less is better)\n", fixedConnections, fixedRate)
	t.amounts("p50", medians(added50), "")
	t.amounts("p99", medians(added99), "≤ 1 × haproxy")
	return nil
}

func medians(rounds map[string][]float64) map[string]float64 {
	m := map[string]float64{}
	for name, v := range rounds {
		m[name] = median(v)
	}
	return m
}

// latency is one run of rateLoad.
func latency(addr string, seconds int) (p50, p99 float64, err error) {
	out, err := again("rate", addr, strconv.Itoa(seconds))
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscan(out, &p50, &p99); err != nil {
		return 0, 0, fmt.Errorf("rate printed %q: %w", out, err)
	}
	return p50, p99, nil
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
