//go:build full

package output

import (
	"context"
	"crypto/tls"
	"errors"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/output/kafka"
)

type kafkaProducer struct{ *kafka.Producer }

func newProducer(c KafkaConfig, secure func(string) *tls.Config, secrets *conf.Secrets) (producer, error) {
	k := kafka.Config{Brokers: c.Brokers, Topic: c.Topic, Compression: c.Compression, TLS: secure, Mechanism: c.Mechanism, User: c.Username}
	if k.Compression == "" {
		k.Compression = "zstd"
	}
	if k.Mechanism == "" && c.Username != "" {
		k.Mechanism = "plain"
	}
	k.Password = func() (string, error) { return secrets.Get(c.Password) }
	p, err := kafka.New(k)
	return kafkaProducer{p}, err
}

func (p kafkaProducer) close() { p.Close() }

func (p kafkaProducer) produce(ctx context.Context, pairs [][2][]byte) error {
	messages := make([]kafka.Message, len(pairs))
	for i, pair := range pairs {
		messages[i] = kafka.Message{Key: pair[0], Value: pair[1]}
	}
	r := p.Produce(ctx, messages)
	switch {
	case r.Err == nil:
		return nil
	case len(r.TooLarge) == len(pairs) && len(pairs) > 1:
		return &TooLarge{Err: r.Err}
	case len(r.TooLarge) == 0 && len(r.Retry) == len(pairs):
		return retryLater(r)
	}
	partial := &Partial{Retry: r.Retry, Err: r.Err}
	if len(pairs) > 1 { // a batch may be too large where each of its records alone is not
		partial.Retry = append(partial.Retry, r.TooLarge...)
		return partial
	}
	return &Rejected{Err: r.Err}
}

func retryLater(r kafka.Result) error {
	retry, ok := errors.AsType[*Retryable](networkError(r.Err))
	if ok && r.Auth {
		retry.Reason = "auth"
	}
	return retry
}
