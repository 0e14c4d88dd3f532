package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/discover"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/shard"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// explainShard shows which shard holds the keys of one command: redis GET user:7. It resolves names and sends nothing.
func explainShard(ctx context.Context, c *config.Config, in kit.Invocation) error {
	protocol, words := in.Args[0], in.Args[1:]
	i := slices.IndexFunc(c.Listeners, func(l config.Listener) bool { return l.Protocol == protocol })
	if i < 0 {
		return kit.Usage("no listener speaks %s", protocol)
	}
	keys, why := shard.KeysOf(protocol, words)
	if why != "" {
		return kit.Usage("explain: %s", why)
	}
	l := &c.Listeners[i]
	env := upstream.Env{Log: in.Env.Log, Secrets: in.Env.Secrets, Health: health.NewRegistry(), DNS: &discover.DNS{}, StartupWait: func() time.Duration { return explainWait }}
	up, err := upstream.New(l.To, *c.Upstreams[l.To], env)
	if err != nil {
		return err
	}
	defer up.Close()
	fmt.Fprintf(in.Stdout, "listener  %s (%s)\nupstream  %s  %s\n", l.Address, l.Protocol, up.Name(), up.Config().URL)
	m := shard.NewMap(up, nil)
	for _, key := range keys {
		p, err := m.Find(ctx, key)
		if err != nil {
			return err
		}
		if p.Address == "" {
			p.Address = "no address"
		}
		fmt.Fprintf(in.Stdout, "key       %q, hashed %q → %#08x\nshard     %s  %s\n", key, p.Hashed, p.Hash, p.Shard, p.Address)
	}
	return nil
}
