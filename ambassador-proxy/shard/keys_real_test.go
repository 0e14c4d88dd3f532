package shard

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

// arrayOf is the array of strings that Redis answers.
func arrayOf(r *bufio.Reader) (all []string, err error) {
	line, err := r.ReadString('\n')
	if err != nil || line[0] != '*' {
		return nil, fmt.Errorf("%q %v", line, err)
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	for range n {
		if _, err := r.ReadString('\n'); err != nil {
			return nil, err
		}
		text, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		all = append(all, strings.TrimSpace(text))
	}
	return all, nil
}

func TestRealRedis_KeysStandWhereRedisFindsThem(t *testing.T) {
	kittest.NeedReal(t, "redis-server")
	address := kittest.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var c net.Conn
	kittest.Eventually(t, 10*time.Second, func() bool {
		var err error
		c, err = net.Dial("tcp", address)
		return err == nil
	}, "redis-server")
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(c)
	for _, line := range []string{
		"SET a 1 EX 5", "MSETNX a 1 b 2", "MGET a b c", "BITOP AND d a b", "COPY a b REPLACE", "LMOVE a b LEFT RIGHT", "SINTERCARD 2 a b LIMIT 1",
		"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "ZRANGESTORE d a 0 1", "ZDIFF 2 a b", "LMPOP 2 a b LEFT", "EVAL s 2 a b x", "FCALL f 1 a b", "OBJECT FREQ a",
		"XINFO GROUPS a", "XGROUP CREATE a g 0", "XREAD COUNT 2 STREAMS a b 0 0", "XREADGROUP GROUP g c COUNT 2 NOACK STREAMS a b > >",
		"XREADGROUP GROUP streams c STREAMS a >", "XREADGROUP GROUP g streams COUNT 1 STREAMS a >", "XREADGROUP GROUP block c STREAMS a >",
		"GEOSEARCHSTORE d a FROMLONLAT 1 1 BYRADIUS 1 m ASC", "GEORADIUS a 1 1 1 m", "GEORADIUS a 1 1 1 m STORE d", "GEORADIUSBYMEMBER a m 1 km STOREDIST d",
		"SORT a", "SORT a BY store GET get ALPHA STORE d", "SORT_RO a BY w", "PFMERGE d a b", "WATCH a b", "LCS a b", "SMOVE a b m",
	} {
		words := strings.Fields(line)
		args := [][]byte{[]byte("COMMAND"), []byte("GETKEYS")}
		for _, w := range words {
			args = append(args, []byte(w))
		}
		if _, err := c.Write(AppendCommand(nil, args...)); err != nil {
			t.Fatal(err)
		}
		want, err := arrayOf(r)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		keys, why := KeysOf("redis", words)
		if got := fmt.Sprintf("%s", keys); got != fmt.Sprint(want) {
			t.Errorf("%s: the keys are %s (%s), Redis says %v", line, got, why, want)
		}
	}
}

func TestStreams_OnlyAnOptionBlocks(t *testing.T) {
	for line, want := range map[string]string{
		"XREADGROUP GROUP block c STREAMS block >":             "",
		"XREADGROUP GROUP g c COUNT 1 BLOCK 5 STREAMS block >": "COUNT 1 BLOCK 5",
		"XREAD BLOCK 5 STREAMS a 0":                            "BLOCK 5",
	} {
		var args [][]byte
		for w := range strings.FieldsSeq(line) {
			args = append(args, []byte(w))
		}
		options, _ := streamsOf(args)
		if got := strings.Trim(fmt.Sprintf("%s", options), "[]"); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
