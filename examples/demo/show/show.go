// Package show runs the Pod of examples/pods/all-three.yaml as local processes and shows, side by side, what went into
// each pattern and what came out. The helpers get the very configuration files that the Pod mounts; a volume is a
// directory, and the Pod's localhost is this machine's.
package show

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Options of a demonstration.
type Options struct {
	Root     string        // of the repository
	Program  string        // this program's own binary: the app, the backend and the receiver
	Duration time.Duration // of the part that is watched
	Keep     bool          // stay up until ctx ends
}

// ErrNotHeld is returned when a pattern did not keep its promise; what happened has been printed.
var ErrNotHeld = errors.New("not all three patterns held")

// Run is the whole demonstration: it builds the helpers, starts the Pod, watches it through a rotation and an outage of
// the receiver, stops it as a kubelet would, and prints a verdict.
func Run(ctx context.Context, out io.Writer, o Options) error {
	dir, err := os.MkdirTemp("", "pod-helpers-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p := &pod{dir: dir, root: o.Root, program: o.Program}
	defer p.kill()
	fmt.Fprintln(out, "building the three helpers …")
	if err := p.build(ctx); err != nil {
		return err
	}
	if err := p.start(ctx); err != nil {
		return err
	}
	fmt.Fprint(out, p.describe())
	w := &watcher{pod: p, out: out}
	if err := w.watch(ctx, o.Duration); err != nil {
		if ctx.Err() != nil { // by a Ctrl-C: what the processes said last is of no interest
			return errors.New("interrupted: no verdict")
		}
		return errors.Join(err, p.lastWords())
	}
	w.translation()
	if o.Keep {
		fmt.Fprint(out, p.urls())
		<-ctx.Done()
	}
	if err := p.stop(); err != nil {
		w.problems = append(w.problems, err.Error())
	}
	return w.verdict()
}
