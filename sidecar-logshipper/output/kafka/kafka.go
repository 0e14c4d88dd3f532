//go:build full

// Package kafka produces records to a Kafka topic. It is a package of its own, behind a build tag, because the client library
// would double the size of the program for the many who do not have a Kafka.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Config names a topic and the way to it.
type Config struct {
	Brokers     []string
	Topic       string
	Compression string                        // none, gzip, zstd or snappy
	TLS         func(host string) *tls.Config // for a handshake with host; nil: plain TCP
	Mechanism   string                        // of SASL: plain, scram-sha-256 or scram-sha-512; "" for none
	User        string
	Password    func() (string, error) // asked at each authentication
}

// Message is one record.
type Message struct{ Key, Value []byte }

// Result sorts what a Produce has not delivered, by index.
type Result struct {
	Retry    []int // may be delivered later
	TooLarge []int // the broker will never take it
	Auth     bool  // an error was about credentials
	Err      error // the first one, nil when everything was delivered
}

// Producer is idempotent: the broker drops what a retry on the wire repeats. It is used from one goroutine.
type Producer struct {
	client *kgo.Client
	topic  string
}

// New makes a producer; the network is not touched before Produce.
func New(c Config) (*Producer, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.DefaultProduceTopic(c.Topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // by the murmur2 of the key, as Java's
		kgo.ProducerBatchCompression(codec(c.Compression)),
		kgo.ProducerLinger(0),                    // batches have been made already
		kgo.MetadataMinAge(time.Second),          // how soon a moved leader is looked for again
		kgo.AllowIdempotentProduceCancellation(), // Produce must return when its context ends
	}
	if c.TLS != nil {
		options = append(options, kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(address) // of this broker: each shows a certificate of its own
			if err != nil {
				return nil, err
			}
			d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: c.TLS(host)}
			return d.DialContext(ctx, network, address)
		}))
	}
	if c.Mechanism != "" {
		options = append(options, kgo.SASL(mechanism(c)))
	}
	client, err := kgo.NewClient(options...)
	return &Producer{client: client, topic: c.Topic}, err
}

func codec(name string) kgo.CompressionCodec {
	switch name {
	case "gzip":
		return kgo.GzipCompression()
	case "zstd":
		return kgo.ZstdCompression()
	case "snappy":
		return kgo.SnappyCompression()
	default:
		return kgo.NoCompression()
	}
}

func mechanism(c Config) sasl.Mechanism {
	switch c.Mechanism {
	case "scram-sha-256", "scram-sha-512":
		auth := func(context.Context) (scram.Auth, error) {
			password, err := c.Password()
			return scram.Auth{User: c.User, Pass: password}, err
		}
		if c.Mechanism == "scram-sha-256" {
			return scram.Sha256(auth)
		}
		return scram.Sha512(auth)
	default:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := c.Password()
			return plain.Auth{User: c.User, Pass: password}, err
		})
	}
}

// Produce returns when each message has been acknowledged by all in-sync replicas, has failed, or ctx has ended. The
// messages belong to the producer, also afterwards.
func (p *Producer) Produce(ctx context.Context, messages []Message) (r Result) {
	records := make([]*kgo.Record, len(messages))
	index := make(map[*kgo.Record]int, len(messages))
	for i, m := range messages {
		records[i] = &kgo.Record{Key: m.Key, Value: m.Value}
		index[records[i]] = i
	}
	for _, result := range p.client.ProduceSync(ctx, records...) {
		if result.Err != nil {
			r.add(index[result.Record], result.Err)
		}
	}
	return r
}

func (r *Result) add(i int, err error) {
	if r.Err == nil {
		r.Err = err
	}
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge), errors.Is(err, kerr.InvalidRecord):
		r.TooLarge = append(r.TooLarge, i)
		return
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		r.Auth = true
	}
	r.Retry = append(r.Retry, i)
}

// Close ends connections and goroutines.
func (p *Producer) Close() { p.client.Close() }
