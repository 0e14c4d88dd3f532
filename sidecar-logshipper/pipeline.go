package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/pod-helpers/pod-helpers/internal/kit"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/config"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/deliver"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/parse"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/shape"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/tail"
)

// pipeline is one configuration at work: find → tail → parse → shape → deliver → output, and back to checkpoint.
type pipeline struct {
	set   *tail.Set
	lanes []*deliver.Lane
	outs  []output.Output

	read, send             context.Context // reading ends first, then sending
	stopReading, stopSends context.CancelFunc
	running                sync.WaitGroup // of the lanes

	stopLooking context.CancelFunc
	looking     sync.WaitGroup // for files, until nothing is sent any more: one that comes and goes meanwhile is nowhere else
}

// counters outlive a reload.
type counters struct {
	tail    *tail.Counters
	deliver *deliver.Counters
}

// past is what a pipeline continues.
type past struct {
	state *checkpoint.State
	set   *tail.Set // of the pipeline that has stopped, nil at the start
}

// newPipeline wires the stages and starts them. On error nothing runs. Streams arrive in spools, below that directory.
func newPipeline(c *config.Config, env kit.Env, spools string, from past, count counters, tap *deliver.Tap) (*pipeline, error) {
	p := &pipeline{}
	if err := p.open(c, env); err != nil {
		p.closeOutputs()
		return nil, err
	}
	routes, inputs, err := p.routes(c, spools)
	if err != nil {
		p.closeOutputs()
		return nil, err
	}
	var names []string
	for i := range c.Outputs {
		names = append(names, c.Outputs[i].Name())
	}
	p.set = tail.New(tail.Config{
		Inputs: inputs, Lanes: names, StartAtEnd: c.Start == "end", Salt: env.Pod.UID + "/" + env.Pod.Container, Log: env.Log,
		Before: from.set, Bounds: tail.Bounds{Held: int64(c.MaxHeld), Age: c.MaxAge.D()},
	}, count.tail, from.state)
	memory := semaphore.NewWeighted(int64(c.Memory))
	dead := deliver.NewDeadLetters(stateDir(c))
	for i, out := range p.outs {
		lane, err := deliver.NewLane(deliver.Config{
			Index: i, Name: names[i], Set: p.set, Out: out, Routes: routes[i], Memory: memory, Window: deliver.WindowFor(int64(c.Memory), len(p.outs)), Batching: deliver.BatchingFor(&c.Outputs[i]), Known: p.set.AwaitSaved, Dead: dead, Tap: tap, Log: env.Log,
		}, count.deliver)
		if err != nil {
			p.closeOutputs()
			p.set.Close()
			return nil, err
		}
		p.lanes = append(p.lanes, lane)
	}
	p.start()
	return p, nil
}

func (p *pipeline) open(c *config.Config, env kit.Env) error {
	for i := range c.Outputs {
		out, err := output.New(c.Outputs[i], output.Env{Log: env.Log, Secrets: env.Secrets, Labels: labels(c, env), Stdout: os.Stdout})
		if err != nil {
			return fmt.Errorf("output %s: %w", c.Outputs[i].Name(), err)
		}
		p.outs = append(p.outs, out)
	}
	return nil
}

// labels are on every record: where it comes from, as far as the Pod says, then what the user adds.
func labels(c *config.Config, env kit.Env) []record.Field {
	var fields []record.Field
	for _, f := range []struct{ name, value string }{
		{"pod", env.Pod.Name}, {"namespace", env.Pod.Namespace}, {"node", env.Pod.Node}, {"container", env.Pod.Container},
	} {
		if _, own := c.Labels[f.name]; f.value != "" && !own {
			fields = append(fields, record.Field{Name: f.name, Value: []byte(f.value)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		fields = append(fields, record.Field{Name: name, Value: []byte(c.Labels[name])})
	}
	return fields
}

// routes are, for each output, how the records of each input reach it. Each has stages of its own, which need no locks.
func (p *pipeline) routes(c *config.Config, spools string) ([][]deliver.Route, []tail.Input, error) {
	routes := make([][]deliver.Route, len(p.outs))
	var inputs []tail.Input
	for i := range c.Inputs {
		in := &c.Inputs[i]
		framer, _, err := parse.New(in.Config, false)
		if err != nil {
			return nil, nil, fmt.Errorf("input %d: %w", i+1, err)
		}
		tails := in.Tails(framer != nil, spools)
		for o, out := range p.outs {
			for range tails {
				route, err := newRoute(in, c.Shape, out)
				if err != nil {
					return nil, nil, fmt.Errorf("input %d: %w", i+1, err)
				}
				routes[o] = append(routes[o], route)
			}
		}
		inputs = append(inputs, tails...)
	}
	return routes, inputs, nil
}

// newRoute is what happens to a record between its file and an output: parse, then shape.
func newRoute(in *config.Input, steps shape.Config, out output.Output) (deliver.Route, error) {
	wants := len(steps) > 0
	if p, ok := out.(output.Parsed); ok && p.WantsParsed() {
		wants = true
	}
	framer, parser, err := parse.New(in.Config, wants)
	if err != nil {
		return deliver.Route{}, err
	}
	route := deliver.Route{Framer: framer, Redacted: steps.Redacts()}
	if parser != nil {
		route.Stages = append(route.Stages, parser)
	}
	stages, err := shape.New(steps)
	if err != nil {
		return deliver.Route{}, err
	}
	route.Stages = append(route.Stages, stages...)
	return route, nil
}

func (p *pipeline) start() {
	p.read, p.stopReading = context.WithCancel(context.Background())
	p.send, p.stopSends = context.WithCancel(context.Background())
	var look context.Context
	look, p.stopLooking = context.WithCancel(context.Background())
	p.looking.Go(func() { p.set.Run(look) })
	for _, l := range p.lanes {
		p.running.Go(func() { l.Run(p.read, p.send) })
	}
}

// stop ends reading, gives the requests under way a moment, then ends them too. What they leave is read again, from set,
// which keeps its files until it is closed.
func (p *pipeline) stop(grace time.Duration) {
	p.stopReading()
	timer := time.AfterFunc(grace, p.stopSends)
	defer timer.Stop()
	p.running.Wait()
	p.stopSends()
	p.stopLooking()
	p.looking.Wait()
	p.closeOutputs()
}

func (p *pipeline) closeOutputs() {
	for _, o := range p.outs {
		_ = o.Close()
	}
}

// backlog is what the slowest output has to deliver yet, in bytes.
func (p *pipeline) backlog() (bytes int64) {
	for i := range p.lanes {
		bytes = max(bytes, p.set.Backlog(i))
	}
	return bytes
}

// finish takes what is in the files now for all there is, and waits until it is delivered.
func (p *pipeline) finish(ctx context.Context) error {
	if err := p.set.Finish(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(time.Second) // a file may be dropped too
	defer tick.Stop()
	for p.backlog() > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.set.Acknowledged():
		case <-tick.C:
		}
	}
	return nil
}

// stateDir is the state directory, "" for none.
func stateDir(c *config.Config) string {
	switch c.State {
	case config.NoState:
		return ""
	case config.DefaultState:
		if _, err := os.Stat(c.State); err != nil {
			return "" // no volume there: said at the start
		}
	}
	return c.State
}
