package main

import (
	"context"
	"fmt"

	"github.com/pod-helpers/pod-helpers/internal/kit"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/config"
)

// check adds to the check command what is valid and yet worth a second look. It goes to stderr: stdout is the configuration.
func check(_ context.Context, c *config.Config, in kit.Invocation) error {
	for i := range c.Inputs {
		for _, w := range c.Inputs[i].Warnings() {
			fmt.Fprintf(in.Stderr, "warning: inputs[%d].%s\n", i, w)
		}
	}
	return nil
}
