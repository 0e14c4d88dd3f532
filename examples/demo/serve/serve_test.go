package serve

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
)

func TestUntil_LetsARequestUnderWayFinish(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		stop()
		JSON(w, map[string]int{"answer": 42})
	})
	done := make(chan error, 1)
	go func() { done <- Until(ctx, listener, &http.Server{Handler: handler}) }()
	response, err := http.Get("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || string(body) != "{\n  \"answer\": 42\n}\n" {
		t.Errorf("got %q, %v", body, err)
	}
	if err := <-done; err != nil {
		t.Errorf("a clean stop ended with %v", err)
	}
}
