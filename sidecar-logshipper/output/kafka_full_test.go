//go:build full

package output

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
	"github.com/pod-helpers/pod-helpers/internal/kit/tlsfile"
)

func broker(t *testing.T, options ...kfake.Opt) (*kfake.Cluster, Config) {
	t.Helper()
	k, err := kfake.NewCluster(append(options, kfake.NumBrokers(1), kfake.SeedTopics(1, "logs"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	c, err := FromURL("kafka://" + k.ListenAddrs()[0] + "/logs")
	if err != nil {
		t.Fatal(err)
	}
	return k, c
}

// consumed are the messages of the topic, in order, after want of them have come; each has its event ID as key.
func consumed(t *testing.T, k *kfake.Cluster, want int, options ...kgo.Opt) (messages []string) {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(k.ListenAddrs()...), kgo.ConsumeTopics("logs"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	keys := map[string]bool{}
	for len(messages) < want && ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if p.HighWatermark > int64(want) {
				t.Errorf("%d messages in the topic, want %d", p.HighWatermark, want)
			}
		})
		for _, r := range fetches.Records() {
			var o struct{ Message string }
			if err := json.Unmarshal(r.Value, &o); err != nil || len(r.Key) != 32 || keys[string(r.Key)] {
				t.Fatalf("key %s value %s: %v", r.Key, r.Value, err)
			}
			keys[string(r.Key)] = true
			messages = append(messages, o.Message)
		}
	}
	return messages
}

func TestKafka_DeliversInOrderWithTheEventIDAsKey(t *testing.T) {
	k, c := broker(t)
	out, all := open(t, c), numbered(3000)
	for part := range slices.Chunk(all, 1000) {
		out.ship(part...)
		out.offset += 1 << 20
	}
	if got := consumed(t, k, len(all)); !slices.Equal(got, all) {
		t.Errorf("%d messages: %.200q", len(got), got)
	}
}

func TestKafka_ALostConnectionAndAMovedLeaderRepeatNothing(t *testing.T) {
	k, c := broker(t)
	var produces atomic.Int32
	k.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		switch produces.Add(1) {
		case 1:
			return nil, errors.New("the connection is cut"), true
		case 2:
			return refusal(r.(*kmsg.ProduceRequest), kerr.NotLeaderForPartition.Code), nil, true
		}
		return nil, nil, false
	})
	open(t, c).ship(numbered(50)...)
	if got := consumed(t, k, 50); !slices.Equal(got, numbered(50)) || produces.Load() < 3 {
		t.Errorf("%d messages after %d requests", len(got), produces.Load())
	}
}

// refusal answers each partition of a request with an error.
func refusal(r *kmsg.ProduceRequest, code int16) kmsg.Response {
	answer := r.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range r.Topics {
		t := kmsg.NewProduceResponseTopic()
		t.Topic, t.TopicID = topic.Topic, topic.TopicID
		for _, partition := range topic.Partitions {
			p := kmsg.NewProduceResponseTopicPartition()
			p.Partition, p.ErrorCode = partition.Partition, code
			t.Partitions = append(t.Partitions, p)
		}
		answer.Topics = append(answer.Topics, t)
	}
	return answer
}

func TestKafka_SaysThatABatchIsTooLargeAndThatARecordWillNeverFit(t *testing.T) {
	k, c := broker(t)
	k.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		return refusal(r.(*kmsg.ProduceRequest), kerr.MessageTooLarge.Code), nil, true
	})
	out := open(t, c)
	if err, ok := errors.AsType[*TooLarge](out.send(t.Context(), numbered(2))); !ok {
		t.Errorf("two records: %v", err)
	}
	if err, ok := errors.AsType[*Rejected](out.send(t.Context(), numbered(1))); !ok {
		t.Errorf("one record: %v", err)
	}
}

func TestKafka_ReturnsSoonWhenTheBrokerIsAwayAndGoesOnWhenItIsBack(t *testing.T) {
	k, c := broker(t)
	var away atomic.Bool
	away.Store(true)
	k.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		return nil, errors.New("cut"), away.Load()
	})
	c.Kafka.Timeout = conf.Duration(300 * time.Millisecond)
	out := open(t, c)
	retry, ok := errors.AsType[*Retryable](out.send(t.Context(), numbered(5)))
	if !ok || retry.Reason != "timeout" {
		t.Fatalf("%+v", retry)
	}
	away.Store(false)
	out.ship(numbered(5)...)
	if got := consumed(t, k, 5); !slices.Equal(got, numbered(5)) {
		t.Errorf("%q", got)
	}
}

func TestKafka_ShowsItsPasswordAndIsToldWhenItIsWrong(t *testing.T) {
	k, c := broker(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "bob", "s3cret"))
	c.Kafka.Mechanism, c.Kafka.Username, c.Kafka.Password = "scram-sha-512", "bob", "wrong"
	c.Kafka.Timeout = conf.Duration(time.Second)
	if err := open(t, c).send(t.Context(), numbered(1)); err == nil {
		t.Fatal("a wrong password was taken")
	}
	c.Kafka.Password, c.Kafka.Timeout = "s3cret", 0
	open(t, c).ship(numbered(3)...)
	password := scram.Auth{User: "bob", Pass: "s3cret"}.AsSha512Mechanism()
	if got := consumed(t, k, 3, kgo.SASL(password)); !slices.Equal(got, numbered(3)) {
		t.Errorf("%q", got)
	}
}

func TestKafka_EachBrokerIsVerifiedUnderItsOwnName(t *testing.T) {
	a := kittest.NewAuthority(t)
	var mu sync.Mutex
	names := map[string]bool{}
	k, c := broker(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{a.Issue("server", "localhost")}, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		names[hello.ServerName] = true
		return nil, nil
	}}))
	_, port, _ := net.SplitHostPort(k.ListenAddrs()[0])
	c.Kafka.Brokers = []string{"localhost:" + port} // the broker names itself 127.0.0.1
	c.Kafka.TLS = tlsfile.Client{CA: a.File("ca.pem")}
	open(t, c).ship(numbered(3)...)
	mu.Lock()
	defer mu.Unlock()
	if !names["localhost"] || !names[""] { // an address is not sent as a name
		t.Errorf("names that were asked for: %v", names)
	}
}

func TestKafka_AnySettingOfTLSMeansTLS(t *testing.T) {
	a := kittest.NewAuthority(t)
	_, c := broker(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{a.Issue("server", "server")}}))
	c.Kafka.TLS = tlsfile.Client{InsecureSkipVerify: true}
	open(t, c).ship(numbered(3)...)
}
