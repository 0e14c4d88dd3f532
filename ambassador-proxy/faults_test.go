package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestFault_OfAGRPCCallIsAGRPCStatus(t *testing.T) {
	address := kittest.FreeAddress(t)
	configured(t, fmt.Sprintf("listeners: [{address: %q, to: a}]\nupstreams: {a: {url: 'h2c://127.0.0.1:1', fault: {percent: 100, status: 503}}}\n", address))
	r, _ := http.NewRequest("POST", "http://"+address+"/pkg.Service/Call", strings.NewReader("\x00\x00\x00\x00\x00"))
	r.Header.Set("Content-Type", "application/grpc")
	response, err := client(t, true).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if h := response.Header; response.StatusCode != 200 || h.Get("Grpc-Status") != "14" || h.Get("X-Ambassador-Error") != "fault_injected" {
		t.Errorf("%d %v", response.StatusCode, h)
	}
}

func TestFault_AnAppThatLeavesDuringADelayHasLeft(t *testing.T) {
	address := kittest.FreeAddress(t)
	admin := configured(t, fmt.Sprintf("listeners: [{address: %q, to: a}]\nupstreams: {a: {url: 'http://127.0.0.1:1', fault: {percent: 100, delay: 1h}}}\n", address))
	c := dialed(t, address)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.Close()
	kittest.Eventually(t, 5*time.Second, func() bool {
		_, metrics := kittest.Get("http://" + admin + "/metrics")
		return strings.Contains(metrics, `ambassador_requests_total{code="none",`) && strings.Contains(metrics, `reason="client_aborted",upstream="a"} 1`)
	}, "the request that its app gave up")
}
