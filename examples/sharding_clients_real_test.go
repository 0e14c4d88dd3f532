package examples

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"
)

// The clients that Go programs use, against real servers behind the ambassador. They stand here so that neither becomes a
// dependency of a helper.

// listening runs a server until the test ends, and waits until it accepts at address.
func listening(t *testing.T, address, name string, args ...string) {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = t.TempDir()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", name, err)
		}
	}
}

// sharded starts three servers of a kind with the ambassador in front of them.
func sharded(t *testing.T, kind string, args ...string) (address string, servers []string) {
	t.Helper()
	program := map[string]string{"redis": "redis-server", "memcached": "memcached"}[kind]
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("REQUIRE_REAL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for range 3 {
		a := freeAddress(t)
		_, port, _ := net.SplitHostPort(a)
		if kind == "redis" {
			listening(t, a, program, append([]string{"--port", port, "--save", "", "--appendonly", "no"}, args...)...)
		} else {
			listening(t, a, program, "-u", "root", "-l", "127.0.0.1", "-p", port, "-U", "0")
		}
		servers = append(servers, a)
	}
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	address = freeAddress(t)
	listening(t, address, filepath.Join(bin, "ambassador-proxy"), "--admin-address", freeAddress(t), "--proxy", address+"="+kind+"://"+strings.Join(servers, ","))
	return address, servers
}

// keys are spread over the shards: what differs stands first.
func keys(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%d:of:user", i))
	}
	return all
}

func redisClient(t *testing.T, o *redis.Options) (*redis.Client, context.Context) {
	c := redis.NewClient(o)
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	if err := c.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	return c, ctx
}

func TestRealGoRedis_SpeaksToThreeShardsAsToOneServer(t *testing.T) {
	address, servers := sharded(t, "redis")
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d", protocol), func(t *testing.T) {
			c, ctx := redisClient(t, &redis.Options{Addr: address, Protocol: protocol, ClientName: "app", DB: protocol})
			all := keys(200)
			var pairs, want []any
			for _, k := range all {
				pairs, want = append(pairs, k, "v"+k), append(want, "v"+k)
			}
			if err := c.MSet(ctx, pairs...).Err(); err != nil {
				t.Fatal(err)
			}
			if got, err := c.MGet(ctx, append(slices.Clone(all), "none")...).Result(); err != nil || !slices.Equal(got, append(want, nil)) {
				t.Errorf("MGET %v, %v", got, err)
			}
			if n, err := c.Exists(ctx, all...).Result(); err != nil || n != 200 {
				t.Errorf("EXISTS %d, %v", n, err)
			}
			if n, err := c.DBSize(ctx).Result(); err != nil || n != 200 {
				t.Errorf("DBSIZE %d, %v", n, err)
			}
			for _, s := range servers { // each holds some, in the database that was chosen
				direct, ctx := redisClient(t, &redis.Options{Addr: s, DB: protocol})
				if n := direct.DBSize(ctx).Val(); n < 20 || n > 150 {
					t.Errorf("%s holds %d of 200 keys", s, n)
				}
			}
			if err := c.HSet(ctx, "h", "a", "1", "b", "2").Err(); err != nil {
				t.Error(err)
			}
			if m, err := c.HGetAll(ctx, "h").Result(); err != nil || len(m) != 2 || m["b"] != "2" {
				t.Errorf("HGETALL %v, %v", m, err)
			}
			if err := c.Get(ctx, "none").Err(); !errors.Is(err, redis.Nil) {
				t.Errorf("a missing key: %v", err)
			}
			if n, err := c.Del(ctx, all...).Result(); err != nil || n != 200 {
				t.Errorf("DEL %d, %v", n, err)
			}
			if name, err := c.ClientGetName(ctx).Result(); err != nil || name != "app" {
				t.Errorf("CLIENT GETNAME %q, %v", name, err)
			}
		})
	}
}

func TestRealGoRedis_PipelinesOfManyClientsKeepTheirOrder(t *testing.T) {
	address, _ := sharded(t, "redis")
	c, ctx := redisClient(t, &redis.Options{Addr: address, PoolSize: 8})
	var clients sync.WaitGroup
	for id := range 8 {
		clients.Go(func() {
			for range 10 {
				var answers []*redis.StringCmd
				_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
					for i := range 500 {
						k := fmt.Sprintf("%d:%d:of:user", i, id)
						p.Set(ctx, k, i, 0)
						answers = append(answers, p.Get(ctx, k))
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				for i, a := range answers {
					if n, err := a.Int(); err != nil || n != i {
						t.Errorf("answer %d is %d, %v", i, n, err)
						return
					}
				}
			}
		})
	}
	clients.Wait()
}

func TestRealGoRedis_TransactionsAndScriptsRunOnTheShardOfTheirHashTag(t *testing.T) {
	address, _ := sharded(t, "redis")
	c, ctx := redisClient(t, &redis.Options{Addr: address})
	var n *redis.IntCmd
	if _, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "{u7}:name", "x", 0)
		n = p.Incr(ctx, "{u7}:count")
		return nil
	}); err != nil || n.Val() != 1 {
		t.Errorf("MULTI: %v, %v", n, err)
	}
	watched := func() error { // compare and swap
		return c.Watch(ctx, func(tx *redis.Tx) error {
			v, err := tx.Get(ctx, "{u7}:count").Int()
			if err != nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "{u7}:count", v+1, 0); return nil })
			return err
		}, "{u7}:count")
	}
	if err := watched(); err != nil || c.Get(ctx, "{u7}:count").Val() != "2" {
		t.Errorf("WATCH: %v", err)
	}
	script := redis.NewScript(`redis.call("SET", KEYS[1], ARGV[1]); return redis.call("GET", KEYS[2])`)
	if got, err := script.Run(ctx, c, []string{"{u7}:a", "{u7}:name"}, "1").Text(); err != nil || got != "x" {
		t.Errorf("script: %q, %v", got, err)
	}
}

func TestRealGoRedis_WhatBelongsToNoShardIsAClearErrorAndTheConnectionLives(t *testing.T) {
	address, _ := sharded(t, "redis")
	c, ctx := redisClient(t, &redis.Options{Addr: address, PoolSize: 1, MaxRetries: -1})
	apart := ""
	for _, k := range keys(100) {
		if err := c.RenameNX(ctx, "none", k).Err(); err != nil && strings.HasPrefix(err.Error(), "CROSSSLOT ") {
			apart = k
			break
		}
	}
	if apart == "" {
		t.Fatal("no two keys lie on different shards")
	}
	for name, row := range map[string]struct {
		call func() error
		want string
	}{
		"MULTI across shards": {func() error {
			_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "none", 1, 0); p.Set(ctx, apart, 1, 0); return nil })
			return err
		}, "EXECABORT Transaction discarded because of previous errors: CROSSSLOT keys of one transaction lie on different shards"},
		"publish":  {func() error { return c.Publish(ctx, "c", "m").Err() }, "ERR PUBLISH is not supported by the sharding ambassador: channels belong to no shard"},
		"blocking": {func() error { return c.BLPop(ctx, time.Second, "l").Err() }, "ERR BLPOP is not supported by the sharding ambassador: it would block"},
		"scan":     {func() error { return c.Scan(ctx, 0, "*", 10).Err() }, "ERR SCAN is not supported by the sharding ambassador: it concerns one server"},
		"unknown":  {func() error { return c.Do(ctx, "NOSUCH", "k").Err() }, "ERR unknown command 'NOSUCH', or not supported"},
		"subscribe": {func() error {
			s := c.Subscribe(ctx, "c")
			defer s.Close()
			_, err := s.Receive(ctx)
			return err
		}, "ERR SUBSCRIBE is not supported by the sharding ambassador: channels belong to no shard"},
	} {
		if err := row.call(); err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Set(ctx, "after", name, 0).Err(); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

func TestRealGoRedis_ThePasswordOfTheAppReachesEveryShard(t *testing.T) {
	address, _ := sharded(t, "redis", "--requirepass", "s3cret")
	c, ctx := redisClient(t, &redis.Options{Addr: address, Password: "s3cret"})
	for _, k := range keys(50) {
		if err := c.Set(ctx, k, 1, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	wrong := redis.NewClient(&redis.Options{Addr: address, Password: "guess", MaxRetries: -1})
	defer wrong.Close()
	if err := wrong.Get(ctx, "a").Err(); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("a wrong password: %v", err)
	}
	for _, k := range keys(50) { // the guess put no shard out of use
		if err := c.Get(ctx, k).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRealGomemcache_SpeaksToThreeShardsAsToOneServer(t *testing.T) {
	address, _ := sharded(t, "memcached")
	c := memcache.New(address)
	defer c.Close()
	c.Timeout = 10 * time.Second
	all := keys(200)
	for i, k := range all {
		if err := c.Set(&memcache.Item{Key: k, Value: []byte("v" + k), Flags: uint32(i)}); err != nil {
			t.Fatal(err)
		}
	}
	items, err := c.GetMulti(append(slices.Clone(all), "none"))
	if err != nil || len(items) != 200 || string(items[all[7]].Value) != "v"+all[7] || items[all[7]].Flags != 7 {
		t.Errorf("GetMulti: %d items, %v", len(items), err)
	}
	if err := c.Add(&memcache.Item{Key: all[0], Value: []byte("x")}); !errors.Is(err, memcache.ErrNotStored) {
		t.Errorf("Add of a key that is there: %v", err)
	}
	item, err := c.Get(all[1])
	if err != nil {
		t.Fatal(err)
	}
	item.Value = []byte("5")
	if err := c.CompareAndSwap(item); err != nil {
		t.Errorf("CompareAndSwap: %v", err)
	}
	if err := c.CompareAndSwap(item); !errors.Is(err, memcache.ErrCASConflict) {
		t.Errorf("CompareAndSwap of what has changed: %v", err)
	}
	if n, err := c.Increment(all[1], 3); err != nil || n != 8 {
		t.Errorf("Increment: %d, %v", n, err)
	}
	if err := errors.Join(c.Touch(all[2], 100), c.Delete(all[3]), c.Append(&memcache.Item{Key: all[4], Value: []byte("+")}), c.Ping()); err != nil {
		t.Error(err)
	}
	if _, err := c.Get(all[3]); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("a deleted key: %v", err)
	}
	if err := c.FlushAll(); err != nil {
		t.Error(err)
	}
	if items, err := c.GetMulti(all); err != nil || len(items) != 0 {
		t.Errorf("after flush_all: %d items, %v", len(items), err)
	}
}
