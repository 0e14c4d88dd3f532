// Command otelreceivers runs receivers of the OpenTelemetry Collector, as they are, and prints the body of every log record
// that they take, one a line: OTLP over gRPC, and the Forward protocol of Fluentd.
//
//	otelreceivers -grpc 127.0.0.1:4317 -forward 127.0.0.1:24224
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/fluentforwardreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

func main() {
	grpc := flag.String("grpc", "", "address for OTLP over gRPC")
	forward := flag.String("forward", "", "address for the Forward protocol")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *grpc, *forward); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, grpc, forward string) error {
	sink, err := consumer.NewLogs((&printer{out: bufio.NewWriter(os.Stdout)}).print)
	if err != nil {
		return err
	}
	for factory, settings := range map[receiver.Factory]map[string]any{
		otlpreceiver.NewFactory():          {"protocols": map[string]any{"grpc": map[string]any{"endpoint": grpc}}},
		fluentforwardreceiver.NewFactory(): {"endpoint": forward},
	} {
		r, err := start(ctx, factory, settings, sink)
		if err != nil {
			return fmt.Errorf("start %s: %w", factory.Type(), err)
		}
		defer func() { _ = r.Shutdown(context.Background()) }()
	}
	<-ctx.Done()
	return nil
}

func start(ctx context.Context, f receiver.Factory, settings map[string]any, sink consumer.Logs) (component.Component, error) {
	config := f.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(settings).Unmarshal(config); err != nil {
		return nil, err
	}
	r, err := f.CreateLogs(ctx, receivertest.NewNopSettings(f.Type()), config, sink)
	if err != nil {
		return nil, err
	}
	return r, r.Start(ctx, componenttest.NewNopHost())
}

// printer is safe for concurrent use.
type printer struct {
	mu  sync.Mutex
	out *bufio.Writer
}

func (p *printer) print(_ context.Context, logs plog.Logs) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, r := range scope.LogRecords().All() {
				fmt.Fprintln(p.out, r.Body().AsString())
			}
		}
	}
	return p.out.Flush()
}
