// Graceful is gRPC's interop service in a server that ends as a deployment's does: at SIGTERM it announces that it goes
// (GOAWAY), finishes the calls that it has, and leaves. With a second argument it does so with each connection at that age.
package main

import (
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
)

func main() {
	l, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var options []grpc.ServerOption
	if len(os.Args) > 2 {
		age, err := time.ParseDuration(os.Args[2])
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: age, MaxConnectionAgeGrace: 10 * time.Second}))
	}
	s := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		s.GracefulStop()
	}()
	if err := s.Serve(l); err != nil {
		log.Fatal(err)
	}
}
