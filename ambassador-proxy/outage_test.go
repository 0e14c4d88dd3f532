package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestOneOfThreeKilledUnderLoad_FailsNoIdempotentRequest(t *testing.T) {
	var backends []*httptest.Server
	var hosts []string
	for range 3 {
		s := server(t, http.HandlerFunc(echo), false, false)
		backends, hosts = append(backends, s), append(hosts, strings.TrimPrefix(s.URL, "http://"))
	}
	address, admin, _ := proxied(t, "http://"+strings.Join(hosts, ","))
	var sent, failed atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 8 {
		c := client(t, false)
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				response, err := c.Get("http://" + address + "/")
				sent.Add(1)
				if err != nil || response.StatusCode != 200 {
					failed.Add(1)
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
			}
		})
	}
	kittest.Eventually(t, 10*time.Second, func() bool { return sent.Load() > 500 }, "traffic")
	backends[0].Listener.Close()
	backends[0].CloseClientConnections()
	at := sent.Load()
	kittest.Eventually(t, 10*time.Second, func() bool { return sent.Load() > at+2000 }, "traffic after the kill")
	close(stop)
	load.Wait()
	if failed.Load() > 0 {
		_, metrics := kittest.Get("http://" + admin + "/metrics")
		t.Errorf("%d of %d failed\n%s", failed.Load(), sent.Load(), metrics)
	}
}
