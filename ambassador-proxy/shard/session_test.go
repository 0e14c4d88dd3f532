package shard

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// readCommand reads one command as a server does.
func readCommand(r *bufio.Reader) (args []string, err error) {
	var count int
	if _, err := fmt.Fscanf(r, "*%d\r\n", &count); err != nil {
		return nil, err
	}
	for range count {
		var size int
		if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args = append(args, string(b[:size]))
	}
	return args, nil
}

// echoing answers every command with its words.
func echoing(c net.Conn, r *bufio.Reader) {
	for {
		args, err := readCommand(r)
		if err != nil {
			return
		}
		fmt.Fprintf(c, "+%s\r\n", strings.Join(args, " "))
	}
}

func TestSession_TakesCommandsInPiecesOfAnySize(t *testing.T) {
	app, _ := through(t, config.Upstream{URL: "redis://" + scripted(t, echoing)}, 0)
	all := command("GET", "a") + "PING\r\n" + command("SET", "b", "c") + command("ECHO", "x")
	want := "+GET a\r\n+PONG\r\n+SET b c\r\n$1\r\nx\r\n"
	for size := 1; size <= len(all); size += 7 {
		go func() {
			for from := 0; from < len(all); from += size {
				_, _ = io.WriteString(app, all[from:min(from+size, len(all))])
			}
		}()
		asked(t, app, "", want)
	}
}

func TestSession_KeepsTheOrderOfAnswersAcrossShards(t *testing.T) {
	turn := make(chan struct{}, 1000) // the slow one answers after the fast one was asked
	slow := scripted(t, func(c net.Conn, r *bufio.Reader) {
		for {
			args, err := readCommand(r)
			if err != nil {
				return
			}
			<-turn
			fmt.Fprintf(c, "+slow %s\r\n", args[1])
		}
	})
	fast := scripted(t, func(c net.Conn, r *bufio.Reader) {
		for {
			args, err := readCommand(r)
			if err != nil {
				return
			}
			turn <- struct{}{}
			fmt.Fprintf(c, "+%s\r\n", strings.Join(args, " "))
		}
	})
	app, up := through(t, config.Upstream{URL: "redis://" + slow + "," + fast}, 0)
	a, b := keyOn(t, up, slow), keyOn(t, up, fast)
	asked(t, app, command("GET", b)+command("GET", a), "+GET "+b+"\r\n+slow "+a+"\r\n") // connected
	asked(t, app, strings.Repeat(command("GET", a)+command("GET", b)+command("PING"), 50),
		strings.Repeat("+slow "+a+"\r\n+GET "+b+"\r\n+PONG\r\n", 50))
}

// A value that no buffer holds goes through while it is still being sent.
func TestSession_StreamsALargeCommandBeforeItsEndIsThere(t *testing.T) {
	const size = 1 << 20
	var got atomic.Int64
	shard := scripted(t, func(c net.Conn, r *bufio.Reader) {
		b := make([]byte, 64<<10)
		for {
			n, err := r.Read(b)
			if err != nil {
				return
			}
			if total := got.Add(int64(n)); total == int64(len(command("SET", "k", strings.Repeat("v", size)))) {
				_, _ = io.WriteString(c, "+OK\r\n")
			}
		}
	})
	app, _ := through(t, config.Upstream{URL: "redis://" + shard}, 0)
	all := command("SET", "k", strings.Repeat("v", size))
	if _, err := io.WriteString(app, all[:size/2]); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return got.Load() > size/4 }, "the first half at the shard")
	asked(t, app, all[size/2:]+command("PING"), "+OK\r\n+PONG\r\n")
}

func TestSession_ALargeCommandForADeadShardIsSwallowedAndAnswered(t *testing.T) {
	dead := refusing(t)
	app, up := through(t, config.Upstream{URL: "redis://" + dead + "," + scripted(t, echoing)}, 0)
	go func() {
		_, _ = io.WriteString(app, command("SET", keyOn(t, up, dead), strings.Repeat("v", 1<<20))+command("PING"))
	}()
	asked(t, app, "", "-ERR shard "+dead+": connection refused\r\n+PONG\r\n")
}

// refusing is an address at which nobody listens.
func refusing(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestSession_ARefusalReachesAnAppThatIsStillSending(t *testing.T) {
	for _, request := range []string{command("SET", "k", strings.Repeat("v", 8<<20)), command("MSET", "k", strings.Repeat("v", 8<<20))} {
		app, _ := through(t, config.Upstream{URL: "redis://" + scripted(t, echoing)}, 1<<20)
		go func() { _, _ = io.WriteString(app, request) }()
		line, err := bufio.NewReader(app).ReadString('\n')
		if err != nil || !strings.Contains(line, "a command is larger than 1048576 bytes (max_body)") {
			t.Errorf("%.20q: %q, %v", request, line, err)
		}
	}
}

func TestSession_ADeadShardIsEjectedAtOnceAndProbedWhileTheOtherServes(t *testing.T) {
	dead := refusing(t)
	well := scripted(t, echoing)
	app, up := through(t, config.Upstream{URL: "redis://" + dead + "," + well}, 0)
	gone, here := keyOn(t, up, dead), keyOn(t, up, well)
	asked(t, app, command("GET", gone)+command("GET", here), "-ERR shard "+dead+": connection refused\r\n+GET "+here+"\r\n")
	asked(t, app, command("GET", gone), "-ERR shard "+dead+": connection refused (out of use, tried again every second)\r\n")
	if up.Facts(time.Now()).States[health.Ejected] != 1 || up.Stats().Ejections()["unreachable"] != 1 {
		t.Errorf("states %v, ejections %v", up.Facts(time.Now()).States, up.Stats().Ejections())
	}
	if n := up.Stats().Attempts[reason.ConnectRefused].Load(); n != 1 {
		t.Errorf("%d attempts, although the second request must not have dialled", n)
	}
	l, err := net.Listen("tcp", dead)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var serving sync.WaitGroup
	defer serving.Wait()
	serving.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		echoing(c, bufio.NewReader(c))
	})
	r := bufio.NewReader(app)
	eventually(t, func() bool {
		_, _ = io.WriteString(app, command("GET", gone))
		line, _ := r.ReadString('\n')
		return line == "+GET "+gone+"\r\n"
	}, "the shard to be used again")
	eventually(t, func() bool { return up.Facts(time.Now()).States[health.Healthy] == 2 }, "the shard that answers to count as healthy")
	app.Close()
}

func TestSession_AShardThatNeverAnswersIsTakenOutAfterFive(t *testing.T) {
	silent := scripted(t, func(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) })
	app, up := through(t, config.Upstream{URL: "redis://" + silent, HeaderTimeout: conf.Duration(20 * time.Millisecond)}, 0)
	for range 5 {
		asked(t, app, command("GET", "k"), "-ERR shard "+silent+": no answer in time\r\n")
	}
	asked(t, app, command("GET", "k"), "-ERR shard "+silent+": no response header within header_timeout (out of use, tried again every second)\r\n")
	if n := up.Stats().Attempts[reason.UpstreamTimeoutHeaders].Load(); n != 5 {
		t.Errorf("%d attempts", n)
	}
}

// A server that closes idle connections, as Redis does with its timeout setting, is never noticed.
func TestSession_AnIdleConnectionThatTheShardHasClosedIsReplaced(t *testing.T) {
	closed := make(chan struct{}, 1)
	shard := scripted(t, func(c net.Conn, r *bufio.Reader) {
		args, err := readCommand(r)
		if err != nil {
			return
		}
		fmt.Fprintf(c, "+%s\r\n", strings.Join(args, " "))
		c.Close()
		closed <- struct{}{}
	})
	app, _ := through(t, config.Upstream{URL: "redis://" + shard}, 0)
	for range 5 {
		asked(t, app, command("GET", "a"), "+GET a\r\n")
		<-closed
		<-time.After(2 * freshFor) // closed as an idle one is: not within the moment after its last use
	}
}

func TestSession_AShardThatRefusesTheAmbassadorsPasswordIsOutForThatReason(t *testing.T) {
	t.Setenv("SHARD_PASSWORD", "wrong")
	server := scripted(t, func(c net.Conn, r *bufio.Reader) {
		for {
			if _, err := readCommand(r); err != nil {
				return
			}
			_, _ = io.WriteString(c, "-WRONGPASS invalid username-password pair or user is disabled.\r\n")
		}
	})
	app, up := through(t, config.Upstream{URL: "redis://" + server, Auth: &config.Auth{Password: "${env:SHARD_PASSWORD}"}}, 0)
	asked(t, app, command("GET", "k"), "-ERR shard "+server+": WRONGPASS invalid username-password pair or user is disabled.\r\n")
	if n := up.Stats().Attempts[reason.UpstreamAuthFailed].Load(); n != 1 {
		t.Errorf("%d attempts failed for it", n)
	}
	if n := up.Stats().Attempts[reason.UpstreamReset].Load(); n != 0 {
		t.Errorf("%d attempts count as reset", n)
	}
}

// A page in a browser can send a form to localhost: its lines must not be taken for commands.
func TestSession_ARequestOfHTTPEndsTheConnectionAndRunsNoCommand(t *testing.T) {
	for _, row := range []struct{ scheme, request, want string }{
		{"redis", "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nFLUSHALL\r\n", "-ERR Protocol error: HTTP is not spoken here\r\n"},
		{"redis", "Host: localhost\r\n\r\nFLUSHALL\r\n", "-ERR Protocol error: HTTP is not spoken here\r\n"},
		{"memcached", "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nflush_all\r\n", "CLIENT_ERROR HTTP is not spoken here\r\n"},
		{"memcached", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nflush_all\r\n", "ERROR\r\nCLIENT_ERROR HTTP is not spoken here\r\n"},
	} {
		t.Run(row.scheme+" "+row.request[:4], func(t *testing.T) {
			shard := scripted(t, func(net.Conn, *bufio.Reader) { t.Error("the shard is asked") })
			app, _ := through(t, config.Upstream{URL: row.scheme + "://" + shard}, 0)
			asked(t, app, row.request, row.want)
			if n, err := app.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%d bytes more, %v", n, err)
			}
		})
	}
}

func TestSession_WhatIsNoCommandOfMemcachedIsTheClientsErrorAndEndsTheConnection(t *testing.T) {
	for request, want := range map[string]string{
		"\x80\x00\x00\x01\x00\x00\x00\x00":    "CLIENT_ERROR the binary protocol is not supported by the sharding ambassador\r\n",
		"set a 0 0 1\r\nxyz\r\nflush_all\r\n": "CLIENT_ERROR bad data chunk\r\n",
		"set a 0 0 -1\r\n":                    "CLIENT_ERROR bad data chunk\r\n",
	} {
		shard := scripted(t, func(net.Conn, *bufio.Reader) { t.Error("the shard is asked") })
		app, _ := through(t, config.Upstream{URL: "memcached://" + shard}, 0)
		asked(t, app, request, want)
		if n, err := app.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%q: %d bytes more, %v", request, n, err)
		}
	}
}
