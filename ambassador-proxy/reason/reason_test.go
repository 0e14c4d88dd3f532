package reason_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

func TestReason_EveryOneHasAnOwnWordATextAndAStatus(t *testing.T) {
	word := regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for r := reason.OK; r < reason.Count; r++ {
		w := r.String()
		if !word.MatchString(w) || w == "unknown" || seen[w] {
			t.Errorf("reason %d: word %q is missing, malformed or taken", r, w)
		}
		seen[w] = true
		if r.Text() == "" || r.Status() < 200 || r.Status() > 599 {
			t.Errorf("%s: text %q, status %d", w, r.Text(), r.Status())
		}
		if r.Client() != (r != reason.OK && r.Status()/100 == 4 && r != reason.Forbidden && r != reason.NoRoute) && r.Status() < 500 {
			t.Errorf("%s: status %d, client's fault %v", w, r.Status(), r.Client())
		}
		if (r.GRPC() == 0) != (r == reason.OK) {
			t.Errorf("%s: grpc-status %d", w, r.GRPC())
		}
	}
}

func TestOfDial_NamesWhatTheKernelSaid(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	_, refused := net.Dial("tcp", addr)
	_, noSocket := net.Dial("unix", filepath.Join(t.TempDir(), "none"))
	client, server := net.Pipe()
	go tls.Server(server, &tls.Config{}).Handshake() // has no certificate to show
	alert := tls.Client(client, &tls.Config{ServerName: "a"}).Handshake()
	late, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	_, timeout := (&net.Dialer{}).DialContext(late, "tcp", addr)
	for _, c := range []struct {
		err  error
		want reason.Reason
	}{
		{nil, reason.OK},
		{refused, reason.ConnectRefused},
		{noSocket, reason.ConnectRefused},
		{timeout, reason.ConnectTimeout},
		{alert, reason.TLSHandshakeFailed},
		{&net.DNSError{Err: "no such host"}, reason.DNSFailed},
		{fmt.Errorf("dial: %w", &reason.Error{Reason: reason.QueueFull}), reason.QueueFull},
		{errors.New("odd"), reason.ConnectFailed},
	} {
		if got := reason.OfDial(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
