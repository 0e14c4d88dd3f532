//go:build race

package main

// instrumented is how much more memory the race detector's build may take.
const instrumented = 8
