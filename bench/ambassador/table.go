package main

import (
	"fmt"
	"math"
	"slices"
)

// table collects the work per CPU-second of each peer in each round.
type table struct {
	peers []*peer
	rates map[string][]float64 // of the case at hand, by peer; one a round, 0 where the peer cannot
}

func newTable(peers []*peer) *table {
	fmt.Printf("%-30s", "per CPU-second (median)")
	for _, p := range peers {
		fmt.Printf("%13s", p.name)
	}
	fmt.Printf("%11s %-12s%8s%9s %s\n", "/ haproxy", "(spread)", "/ nginx", "/ best", "goal")
	return &table{peers: peers}
}

// begin starts a row.
func (t *table) begin() { t.rates = map[string][]float64{} }

func (t *table) add(p *peer, rate float64) { t.rates[p.name] = append(t.rates[p.name], rate) }

// rateOf is the work per CPU-second of the peer in one run, 0 when it cannot.
func rateOf(c job, p *peer, seconds int) (float64, error) {
	addr := p.addr[c.kind]
	if addr == "" {
		return 0, nil
	}
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	work, err := c.load(addr, seconds)
	if err != nil {
		return 0, err
	}
	after, err := p.cpu()
	return work / max(after-before, 0.001), err
}

// print prints the row. Ratios are taken within each round, where both have seen the same neighbours, and the median of them
// is shown.
func (t *table) print(c job) {
	fmt.Printf("%-30s", c.name)
	best := make([]float64, len(t.rates["ours"]))
	for _, p := range t.peers {
		m := median(t.rates[p.name])
		if m == 0 {
			fmt.Printf("%13s", "–")
			continue
		}
		fmt.Printf("%13.0f", m)
		if p.name != "ours" {
			for i, r := range t.rates[p.name] {
				best[i] = max(best[i], r)
			}
		}
	}
	h := t.ratios(t.rates["haproxy"])
	spread := fmt.Sprintf("%.2f–%.2f", slices.Min(h), slices.Max(h))
	fmt.Printf("%11.2f %-12s", median(h), spread)
	if n := t.rates["nginx"]; median(n) > 0 {
		fmt.Printf("%8.2f", median(t.ratios(n)))
	} else {
		fmt.Printf("%8s", "–")
	}
	fmt.Printf("%9.2f %.2f\n", median(t.ratios(best)), c.goal)
}

// amounts prints a row of what is better the less it is: its ratios are ours to theirs too. Noise may have made an amount
// negative, which has no ratio.
func (t *table) amounts(name string, values map[string]float64, goal string) {
	ours, best := values["ours"], math.Inf(1)
	fmt.Printf("%-30s", name)
	for _, p := range t.peers {
		fmt.Printf("%13.1f", values[p.name])
		if p.name != "ours" {
			best = min(best, values[p.name])
		}
	}
	ratio := func(theirs float64) string {
		if ours <= 0 || theirs <= 0 {
			return "–"
		}
		return fmt.Sprintf("%.2f", ours/theirs)
	}
	fmt.Printf("%11s %-12s%8s%9s %s\n", ratio(values["haproxy"]), "", ratio(values["nginx"]), ratio(best), goal)
}

// ratios of ours to theirs, round by round.
func (t *table) ratios(theirs []float64) []float64 {
	var r []float64
	for i, v := range t.rates["ours"] {
		r = append(r, v/theirs[i])
	}
	return r
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return (s[len(s)/2] + s[(len(s)-1)/2]) / 2
}
