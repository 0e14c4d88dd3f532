package kit

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// clientTimeout bounds one question to the running helper; an exec probe has a second by default.
const clientTimeout = 900 * time.Millisecond

func (p *process[C]) healthcheck(ctx context.Context, args []string) error {
	var ready bool
	loaded, done, err := p.loadClient(args, func(f *conf.Flags) { f.Bool(&ready, "ready", "ask readiness") })
	if err != nil || done {
		return err
	}
	path := "/livez"
	if ready {
		path = "/readyz"
	}
	return ask(ctx, http.MethodGet, adminAddress(loaded), path)
}

func (p *process[C]) wait(ctx context.Context, args []string) error {
	timeout := conf.Duration(time.Minute)
	loaded, done, err := p.loadClient(args, func(f *conf.Flags) { f.Duration(&timeout, "timeout", "give up after this long") })
	if err != nil || done {
		return err
	}
	if timeout <= 0 {
		return Usage("--timeout %s leaves no time to ask", timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout.D())
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var reason error
	for {
		err := ask(ctx, http.MethodGet, adminAddress(loaded), "/readyz")
		if err == nil {
			return nil
		}
		if reason == nil || ctx.Err() == nil { // that our own time is up is no reason
			reason = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait: not ready after %s: %w", timeout, reason)
		case <-tick.C:
		}
	}
}

func (p *process[C]) quit(ctx context.Context, args []string) error {
	loaded, done, err := p.loadClient(args, nil)
	if err != nil || done {
		return err
	}
	return ask(ctx, http.MethodPost, adminAddress(loaded), "/-/quit")
}

func adminAddress[C any](loaded *conf.Loaded[C]) string {
	return any(loaded.Config).(interface{ Base() *conf.Common }).Base().AdminAddress
}

// ask puts one question to the admin server of the helper that runs beside us.
func ask(ctx context.Context, method, address, path string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return Usage("admin address: %v", err)
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
		if strings.HasPrefix(address, "[::]") {
			host = "::1"
		}
	}
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this very Pod
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%w (is the helper running, and --admin-address the same?)", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, strings.TrimSpace(string(text)))
	}
	return nil
}
