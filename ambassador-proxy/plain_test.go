//go:build !race

package main

const instrumented = 1
