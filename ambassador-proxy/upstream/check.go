package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/http2/client"
)

// check asks every endpoint at intervals whether it is well.
func (u *Upstream) check(ctx context.Context) {
	h := u.config.Health
	interval := or(h.Interval.D(), 5*time.Second)
	for {
		var all sync.WaitGroup
		for _, e := range u.Endpoints() {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, or(h.Timeout.D(), 2*time.Second))
				defer cancel()
				err := e.check(ctx)
				if e.record.Checked(err == nil, or(h.Fall, 3), or(h.Rise, 2)) {
					u.env.Log.Warn("endpoint changed by its health check", "upstream", u.name, "endpoint", e.addr.Addr, "state", e.State(), "error", err)
					u.rebuild()
				}
			})
		}
		all.Wait()
		timer := time.NewTimer(interval - interval/10 + rand.N(interval/5+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (e *Endpoint) check(ctx context.Context) error {
	h := e.up.config.Health
	switch {
	case h.GRPC:
		return e.checkGRPC(ctx)
	case h.Path != "":
		response, end, err := e.ask(ctx, http.MethodGet, h.Path, nil, nil)
		if err != nil {
			return err
		}
		defer end()
		if response.StatusCode < 200 || response.StatusCode >= 400 {
			return errors.New("answered " + response.Status)
		}
		return nil
	}
	c, err := e.Dial(ctx)
	if err != nil {
		return err
	}
	return c.Close()
}

// ask sends a request on a connection of its own, which end closes: a check depends on none that requests use, and adds none.
func (e *Endpoint) ask(ctx context.Context, method, path string, body io.Reader, header http.Header) (response *http.Response, end func(), err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://endpoint", body)
	if err != nil {
		return nil, nil, err
	}
	if header != nil {
		r.Header = header
	}
	r.URL = &url.URL{Scheme: "http", Host: "endpoint", Opaque: path}
	r.Host = e.up.target.HostField()
	nc, err := e.clients.connect(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	var hangUp func()
	if e.clients.speaksHTTP2(nc) {
		response, hangUp, err = askHTTP2(nc, r, e.clients.scheme())
	} else {
		response, hangUp, err = e.clients.singles.ask(nc, r)
	}
	if err != nil {
		hangUp()
		return nil, nil, err
	}
	return response, func() { response.Body.Close(); hangUp() }, nil
}

func askHTTP2(nc net.Conn, r *http.Request, scheme string) (response *http.Response, end func(), err error) {
	x, conn := client.NewExchange(r, scheme), client.New(nc, liveness)
	stream := conn.Open(&x.Request)
	if stream == nil {
		return nil, conn.Close, endedAtOnce(conn.Err())
	}
	response, err = x.Response(stream)
	return response, conn.Close, err
}

func (s *singles) ask(nc net.Conn, r *http.Request) (response *http.Response, end func(), err error) {
	conn, err := s.transport.NewClientConn(context.WithValue(r.Context(), wireKey{}, nc), "http", "endpoint:80")
	if err != nil {
		return nil, func() { nc.Close() }, err
	}
	response, err = conn.RoundTrip(r)
	return response, func() { conn.Close() }, err
}

const servingStatus = 1 // grpc.health.v1.HealthCheckResponse.SERVING

// checkGRPC calls grpc.health.v1.Health/Check for the whole server. The messages are small enough to write by hand.
func (e *Endpoint) checkGRPC(ctx context.Context) error {
	empty := bytes.NewReader(make([]byte, 5)) // no compression, length 0: an empty HealthCheckRequest
	response, end, err := e.ask(ctx, http.MethodPost, "/grpc.health.v1.Health/Check", empty,
		http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}})
	if err != nil {
		return err
	}
	defer end()
	message, err := io.ReadAll(io.LimitReader(response.Body, 1024))
	if err != nil {
		return err
	}
	status := response.Trailer.Get("Grpc-Status") + response.Header.Get("Grpc-Status")
	if status != "0" {
		return fmt.Errorf("grpc-status %q", status)
	}
	if !bytes.Equal(message, []byte{0, 0, 0, 0, 2, 1 << 3, servingStatus}) {
		return errors.New("not serving")
	}
	return nil
}
