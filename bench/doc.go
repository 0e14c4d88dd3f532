// Package bench holds the side-by-side benchmarks against the peers, one command each: go run ./bench/logshipper,
// ./bench/ambassador, ./bench/adapter. Each prints one table: cases, peers, ours, and the ratio to the best peer, per
// CPU-second of the program under test, all measured in one run because machines differ and drift.
package bench
