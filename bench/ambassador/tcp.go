package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// tcpServer streams to who sends 's' first and echoes 64-byte messages to who sends 'p'.
func tcpServer(args []string) {
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		log.Fatal(err)
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer c.Close()
			b := make([]byte, 256<<10)
			if _, err := io.ReadFull(c, b[:1]); err != nil {
				return
			}
			for err := error(nil); err == nil; {
				if b[0] == 's' {
					_, err = c.Write(b)
				} else if _, err = io.ReadFull(c, b[1:65]); err == nil {
					_, err = c.Write(b[1:65])
				}
			}
		}()
	}
}

// streamLoad prints the MB received.
func streamLoad(args []string) {
	load(args, 's', func(c net.Conn, b []byte) (float64, error) {
		n, err := c.Read(b)
		return float64(n) / 1e6, err
	})
}

// pingPongLoad prints the messages that came back.
func pingPongLoad(args []string) {
	load(args, 'p', func(c net.Conn, b []byte) (float64, error) {
		if _, err := c.Write(b[:64]); err != nil {
			return 0, err
		}
		_, err := io.ReadFull(c, b[:64])
		return 1, err
	})
}

// load repeats a step on ADDRESS over CONNECTIONS for SECONDS and prints the sum.
func load(args []string, first byte, step func(net.Conn, []byte) (float64, error)) {
	connections, _ := strconv.Atoi(args[1])
	seconds, _ := strconv.Atoi(args[2])
	var stop atomic.Bool
	var mu sync.Mutex
	var wg sync.WaitGroup
	sum := 0.0
	for range connections {
		c, err := net.Dial("tcp", args[0])
		if err != nil {
			log.Fatal(err)
		}
		if _, err := c.Write([]byte{first}); err != nil {
			log.Fatal(err)
		}
		wg.Go(func() {
			defer c.Close()
			b, own := make([]byte, 256<<10), 0.0
			for !stop.Load() {
				n, err := step(c, b)
				if err != nil {
					log.Fatal(err)
				}
				own += n
			}
			mu.Lock()
			sum += own
			mu.Unlock()
		})
	}
	time.Sleep(time.Duration(seconds) * time.Second)
	stop.Store(true)
	wg.Wait()
	fmt.Println(sum)
}
