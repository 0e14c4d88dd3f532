// Package life is how a helper ends: it works on while the app is still busy, then stops within a deadline, and says
// what it had to leave undone.
package life

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Unfinished says that the drain ran out of time with work left; the process exits with 3.
type Unfinished struct {
	Left int64
	Unit string // bytes, requests, records; empty when nobody can tell how much is left
}

func (u *Unfinished) Error() string {
	left := "work"
	if u.Unit != "" {
		left = fmt.Sprintf("%d %s", u.Left, u.Unit)
	}
	return fmt.Sprintf("drain: ran out of time with %s left (raise --drain-timeout and terminationGracePeriodSeconds)", left)
}

// quietPoll is how often WaitQuiet looks; short against --drain-quiet, long against the cost of looking.
const quietPoll = 20 * time.Millisecond

// WaitQuiet returns nil when the last activity lies at least quiet back, counted from now on at the earliest: an app that
// was idle at SIGTERM may still make its farewell call. It returns the context's error when that ends first.
func WaitQuiet(ctx context.Context, quiet time.Duration, lastActivity func() time.Time) error {
	begin := time.Now()
	tick := time.NewTicker(max(min(quietPoll, quiet), time.Millisecond))
	defer tick.Stop()
	for {
		since := begin
		if last := lastActivity(); last.After(since) {
			since = last
		}
		if time.Since(since) >= quiet {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Pod is what the downward API told about the Pod, by environment variables; fields are empty when it told nothing.
type Pod struct {
	Name, Namespace, UID, IP, Node, Container string
}

// PodFromEnv reads POD_NAME, POD_NAMESPACE, POD_UID, POD_IP, NODE_NAME and CONTAINER_NAME.
func PodFromEnv() Pod {
	return Pod{
		Name: os.Getenv("POD_NAME"), Namespace: os.Getenv("POD_NAMESPACE"), UID: os.Getenv("POD_UID"),
		IP: os.Getenv("POD_IP"), Node: os.Getenv("NODE_NAME"), Container: os.Getenv("CONTAINER_NAME"),
	}
}
