package main

import (
	"context"
	"fmt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/preset"
	"github.com/pod-helpers/pod-helpers/internal/kit"
)

// presets is preset list and preset show NAME.
func presets(_ context.Context, _ *config.Config, in kit.Invocation) error {
	switch {
	case len(in.Args) == 1 && in.Args[0] == "list":
		for _, name := range preset.Names() {
			p, err := preset.Load(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(in.Stdout, "%-12s %s (%s)\n", name, p.About, p.URL)
		}
		return nil
	case len(in.Args) == 2 && in.Args[0] == "show":
		text, err := preset.Show(in.Args[1])
		if err != nil {
			return kit.Usage("%v", err)
		}
		_, err = in.Stdout.Write(text)
		return err
	}
	return kit.Usage("preset: want preset list, or preset show NAME")
}
