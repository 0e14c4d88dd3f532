package output

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// KafkaConfig is a topic of a Kafka cluster. It needs the program that is built with the tag kafka.
type KafkaConfig struct {
	Brokers     []string       `yaml:"brokers" doc:"host:port of one or more brokers; the others are learned from them."`
	Topic       string         `yaml:"topic" doc:"The topic; it is not created."`
	Compression string         `yaml:"compression,omitempty" enum:"none,gzip,zstd,snappy" doc:"Of record batches; default zstd."`
	Secure      bool           `yaml:"secure,omitempty" doc:"Speak TLS; implied by tls."`
	TLS         tlsfile.Client `yaml:"tls,omitempty"`
	Mechanism   string         `yaml:"mechanism,omitempty" enum:"plain,scram-sha-256,scram-sha-512" doc:"Of SASL; default plain when there is a username."`
	Username    string         `yaml:"username,omitempty" doc:"Of SASL."`
	Password    conf.Secret    `yaml:"password,omitempty" doc:"Of SASL."`
	Timeout     conf.Duration  `yaml:"timeout,omitempty" doc:"For one batch; default 30s."`
}

// Kafka produces one JSON object for each record, as http does, with the event ID as key, by which a consumer can tell a
// resend. The producer is idempotent. Order is kept within a partition; keys spread a file's records over all of them.
type Kafka struct {
	jsonLines
	producer producer
	timeout  time.Duration
	stop     context.CancelFunc
	watching chan struct{}
}

// producer is what the package kafka is used for.
type producer interface {
	// produce returns one of the package's errors; it keeps the pairs of key and value.
	produce(ctx context.Context, pairs [][2][]byte) error
	close()
}

func (c *KafkaConfig) validate(p *conf.Problems, path string) {
	switch {
	case len(c.Brokers) == 0 || c.Brokers[0] == "":
		p.Add(path+".brokers", "is missing", "write brokers: [host:9092]")
	case c.Topic == "":
		p.Add(path+".topic", "is missing", "write kafka://host:9092/TOPIC")
	}
	if (c.Username == "") != (c.Password == "") {
		p.Add(path, "has only one of username and password", "")
	}
	c.TLS.Validate(path+".tls", p)
}

// NewKafka makes the output; the network is not touched before Send.
func NewKafka(c KafkaConfig, env Env) (*Kafka, error) {
	files, err := tlsfile.New(c.TLS)
	if err != nil {
		return nil, err
	}
	var secure func(host string) *tls.Config
	if c.Secure || !reflect.ValueOf(c.TLS).IsZero() {
		secure = files.Config
	}
	o := &Kafka{timeout: c.Timeout.D(), watching: make(chan struct{})}
	if o.timeout <= 0 {
		o.timeout = defaultTimeout
	}
	if o.producer, err = newProducer(c, secure, env.Secrets); err != nil {
		return nil, err
	}
	k := defaultKeys(env)
	o.layout = func(s *record.Source) layout { return kafkaLayout(k, s) }
	o.shaped = func(dst []byte, r *record.Record) []byte {
		dst = append(r.ID().Append(dst), ' ')
		return append(k.appendObject(dst, r), '\n')
	}
	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	go func() { defer close(o.watching); files.Watch(ctx, log) }()
	return o, nil
}

// kafkaLayout is JSON lines with the key in front: 32 digits and a space. Send takes them apart.
func kafkaLayout(k *keys, s *record.Source) layout {
	l, key := k.plain(s, true, "\n"), []byte(idMark+" ")
	l.text = newHeading(append(bytes.Clone(key), l.text.text...), k.clock, s)
	l.object = newHeading(append(key, l.object.text...), k.clock, s)
	return l
}

// Begin starts a body.
func (*Kafka) Begin(dst []byte) []byte { return dst }

// End finishes a body.
func (*Kafka) End(dst []byte) []byte { return dst }

// Send produces one body and waits for all in-sync replicas.
func (o *Kafka) Send(ctx context.Context, b *Batch) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	pairs := make([][2][]byte, 0, b.Records)
	for line := range bytes.Lines(bytes.Clone(b.Body)) { // the client may keep it for a while after it was cancelled
		key, value, ok := bytes.Cut(bytes.TrimSuffix(line, []byte{'\n'}), []byte{' '})
		if !ok || len(key) != len(idMark) {
			return &Rejected{Err: errors.New("a record has a newline in it")}
		}
		pairs = append(pairs, [2][]byte{key, value})
	}
	if len(pairs) != b.Records {
		return &Rejected{Err: fmt.Errorf("%d lines for %d records", len(pairs), b.Records)}
	}
	return o.producer.produce(ctx, pairs)
}

// Close ends connections and goroutines.
func (o *Kafka) Close() error {
	o.stop()
	<-o.watching
	o.producer.close()
	return nil
}
