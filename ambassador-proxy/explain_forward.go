package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/forward"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// explainForward shows whether the forward proxy reaches a destination: forward api.example.com:443. It resolves the name and
// connects to nothing.
func explainForward(ctx context.Context, c *config.Config, in kit.Invocation) error {
	i := slices.IndexFunc(c.Listeners, func(l config.Listener) bool { return l.Protocol == "forward" })
	if i < 0 {
		return kit.Usage("no listener is a forward proxy")
	}
	if len(in.Args) != 2 {
		return kit.Usage("explain forward wants host:port, for example forward api.example.com:443")
	}
	l := &c.Listeners[i]
	p := forward.New(l.Allow, forward.Settings{})
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	fmt.Fprintf(in.Stdout, "listener  %s (forward)\nallowed   %s\n", l.Address, strings.Join(l.Allow, ", "))
	addresses, err := p.Look(ctx, in.Args[1])
	if err != nil {
		why := reason.OfDial(err)
		_, err = fmt.Fprintf(in.Stdout, "refused   %d %s: %v\n", why.Status(), why, err)
		return err
	}
	for _, a := range addresses {
		fmt.Fprintf(in.Stdout, "address   %s\n", a)
	}
	return nil
}
