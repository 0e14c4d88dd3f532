package app

import (
	"context"
	"net"
	"strings"
	"time"
)

// sendStatsD counts orders in StatsD lines, twenty a datagram, at the rate of statsdRate lines per second.
func (a *app) sendStatsD(ctx context.Context) error {
	conn, err := net.Dial("udp", a.statsd)
	if err != nil {
		return err
	}
	defer conn.Close()
	const perPacket = 20
	packet := []byte(strings.TrimSuffix(strings.Repeat("shop.orders:1|c\nshop.latency:3|ms\n", perPacket/2), "\n"))
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	begin := time.Now()
	for sent := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			for due := a.statsdRate * now.Sub(begin).Seconds(); float64(sent) < due; sent += perPacket {
				if _, err := conn.Write(packet); err != nil {
					continue // nobody listens: a StatsD client does not care
				}
			}
		}
	}
}
