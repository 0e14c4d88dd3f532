package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// restartable is a backend that can be shut down in an orderly way and come back at the same address.
type restartable struct {
	address string
	grpc    bool
	server  *http.Server
	done    chan struct{}
}

func (b *restartable) start(t *testing.T) {
	var l net.Listener
	kittest.Eventually(t, 5*time.Second, func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", b.address)
		return err == nil
	}, "the address of the backend")
	b.server = &http.Server{Protocols: &http.Protocols{}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if b.grpc {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write([]byte{0, 0, 0, 0, 0})
			w.Header().Set("Grpc-Status", "0")
		}
	})}
	b.server.Protocols.SetHTTP1(!b.grpc)
	b.server.Protocols.SetUnencryptedHTTP2(b.grpc)
	b.done = make(chan struct{})
	go func() { defer close(b.done); _ = b.server.Serve(l) }()
}

func (b *restartable) stop(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.server.Shutdown(ctx); err != nil {
		b.server.Close()
	}
	<-b.done
}

func TestRollingRestart_OfAllBackendsUnderLoadFailsNoRequest(t *testing.T) {
	for name, grpc := range map[string]bool{"HTTP": false, "gRPC": true} {
		t.Run(name, func(t *testing.T) {
			var hosts []string
			var backends []*restartable
			for range 3 {
				b := &restartable{address: kittest.FreeAddress(t), grpc: grpc}
				b.start(t)
				t.Cleanup(func() { b.server.Close() })
				backends, hosts = append(backends, b), append(hosts, b.address)
			}
			scheme := "http"
			if grpc {
				scheme = "grpc"
			}
			address, _, _ := proxied(t, scheme+"://"+strings.Join(hosts, ","))
			var sent, failed atomic.Int64
			stop := make(chan struct{})
			var load sync.WaitGroup
			for range 4 {
				c := client(t, grpc)
				load.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						sent.Add(1)
						if !called(c, address, grpc) && failed.Add(1) > 20 {
							return
						}
					}
				})
			}
			for _, b := range backends {
				at := sent.Load()
				kittest.Eventually(t, 10*time.Second, func() bool { return sent.Load() > at+200 || failed.Load() > 0 }, "traffic")
				b.stop(t)
				at = sent.Load()
				kittest.Eventually(t, 10*time.Second, func() bool { return sent.Load() > at+200 || failed.Load() > 0 }, "traffic without it")
				b.start(t)
			}
			close(stop)
			load.Wait()
			if failed.Load() > 0 {
				t.Errorf("%d of %d failed", failed.Load(), sent.Load())
			}
		})
	}
}

// called makes one request, a GET or a call, and tells whether it went well.
func called(c *http.Client, address string, grpc bool) bool {
	method, body := "GET", io.Reader(nil)
	if grpc {
		method, body = "POST", strings.NewReader("\x00\x00\x00\x00\x00")
	}
	r, err := http.NewRequest(method, "http://"+address+"/s/m", body)
	if err != nil {
		return false
	}
	if grpc {
		r.Header.Set("Content-Type", "application/grpc")
		r.Header.Set("Te", "trailers")
	}
	response, err := c.Do(r)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.StatusCode == 200 && (!grpc || response.Trailer.Get("Grpc-Status") == "0")
}
