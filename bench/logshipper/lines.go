package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
)

// input is one kind of log. mark stands exactly once in each record, survives every encoding, and so counts records.
type input struct {
	name  string
	mark  string
	write func(b *bytes.Buffer, r *rand.Rand)
}

func inputs() map[string]input {
	list := []input{
		{"combined", "Mozilla", combined},    // 189 bytes on average
		{"json", "order placed", jsonLine},   // 296
		{"short", " tick ", short},           // 55
		{"java", "Cannot place order", java}, // 1772, in some 20 lines
	}
	m := map[string]input{}
	for _, in := range list {
		m[in.name] = in
	}
	return m
}

func combined(b *bytes.Buffer, r *rand.Rand) {
	fmt.Fprintf(b, `10.%d.%d.%d - - [24/Nov/2026:22:%02d:%02d +0000] "GET /api/v1/orders/%d?page=%d HTTP/1.1" %d %d "https://shop.example.com/cart/%d" "Mozilla/5.0 (X11; Linux x86_64) Firefox/%d.0"`+"\n",
		r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(60), r.IntN(60), r.IntN(1e7), r.IntN(100),
		[]int{200, 200, 200, 304, 404, 500}[r.IntN(6)], r.IntN(1e5), r.IntN(1e6), 100+r.IntN(40))
}

func jsonLine(b *bytes.Buffer, r *rand.Rand) {
	fmt.Fprintf(b, `{"time":"2026-11-24T22:%02d:%02d.%03dZ","level":"%s","logger":"com.example.shop.OrderService","msg":"order placed","trace_id":"%016x%016x","span_id":"%016x","customer":%d,"amount":%.2f,"duration_ms":%.3f,"path":"/api/v1/orders/%d","agent":"okhttp/4.%d"}`+"\n",
		r.IntN(60), r.IntN(60), r.IntN(1000), []string{"info", "debug", "warn", "error"}[r.IntN(4)],
		r.Uint64(), r.Uint64(), r.Uint64(), r.IntN(1e6), r.Float64()*1000, r.Float64()*100, r.IntN(1e7), r.IntN(20))
}

func short(b *bytes.Buffer, r *rand.Rand) {
	fmt.Fprintf(b, "2026-11-24T22:%02d:%02d.%03dZ INFO tick %06d queue=%03d ok\n", r.IntN(60), r.IntN(60), r.IntN(1000), r.IntN(1e6), r.IntN(1000))
}

func java(b *bytes.Buffer, r *rand.Rand) {
	fmt.Fprintf(b, "2026-11-24 22:%02d:%02d.%03d ERROR [http-nio-8080-exec-%d] com.example.shop.OrderService - Cannot place order %d\n",
		r.IntN(60), r.IntN(60), r.IntN(1000), r.IntN(200), r.IntN(1e7))
	fmt.Fprintf(b, "java.lang.IllegalStateException: no stock for item %d\n", r.IntN(1e6))
	classes := strings.Fields("controller.OrderController.place service.OrderService.reserve repository.StockRepository.find filter.TraceFilter.doFilter client.PaymentClient.charge")
	for range 8 + r.IntN(12) {
		fmt.Fprintf(b, "\tat com.example.shop.%s(Source.java:%d) ~[shop-1.%d.jar:1.%[3]d]\n", classes[r.IntN(len(classes))], r.IntN(900), r.IntN(9))
	}
	fmt.Fprintf(b, "Caused by: java.net.SocketTimeoutException: Read timed out after %d ms\n", r.IntN(5000))
	for range 3 + r.IntN(4) {
		fmt.Fprintf(b, "\tat java.base/java.net.SocketInputStream.read(SocketInputStream.java:%d)\n", r.IntN(400))
	}
	fmt.Fprintf(b, "\t... %d more\n", r.IntN(60))
}

// blockMiB of lines differ from each other. Repeating them then does not help a compressor, whose window is far smaller.
const blockMiB = 16

// generate writes at least the wanted MiB and returns the bytes and the records.
func generate(path string, in input, mib int) (size, records int, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(1, 2))
	var block bytes.Buffer
	perBlock := 0
	for ; block.Len() < min(mib, blockMiB)<<20; perBlock++ {
		in.write(&block, r)
	}
	for size < mib<<20 {
		if _, err := f.Write(block.Bytes()); err != nil {
			return 0, 0, err
		}
		size, records = size+block.Len(), records+perBlock
	}
	return size, records, nil
}
