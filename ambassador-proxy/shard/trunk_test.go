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
)

// shared are clients of which each has sent a command over the trunks of all shards.
func shared(t testing.TB, p *Proxy, dial func() net.Conn, clients int) (apps []net.Conn) {
	t.Helper()
	for range max(clients, fewClients+1) {
		apps = append(apps, dial())
	}
	eventually(t, func() bool { return int(p.clients.Load()) == len(apps) }, "the clients to be known")
	request, answer := command("GET", "k"), "+GET k\r\n"
	if p.view.Load().m.up.Target().Kind == "memcached" {
		request, answer = "get k\r\n", "END\r\n"
	}
	eventually(t, func() bool { asked(t, apps[0], request, answer); return p.trunks() > 0 }, "the trunk")
	return apps
}

// trunks is how many there are.
func (p *Proxy) trunks() (n int) {
	m := p.view.Load().m
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.known {
		s.mu.Lock()
		n += len(s.trunks)
		s.mu.Unlock()
	}
	return n
}

// counting is echoing that counts the connections.
func counting(conns *atomic.Int64) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, r *bufio.Reader) {
		conns.Add(1)
		echoing(c, r)
	}
}

func TestTrunk_FiftyClientsShareOneConnectionToAShard(t *testing.T) {
	var conns atomic.Int64
	p, dial, _ := started(t, config.Upstream{URL: "redis://" + scripted(t, counting(&conns))}, 0)
	apps := shared(t, p, dial, 50)
	var all sync.WaitGroup
	for i, app := range apps {
		all.Go(func() {
			for j := range 100 {
				asked(t, app, command("SET", fmt.Sprint(i), fmt.Sprint(j)), fmt.Sprintf("+SET %d %d\r\n", i, j))
			}
		})
	}
	all.Wait()
	if n := conns.Load(); n != 2 { // that of the first client, and the trunk
		t.Errorf("%d connections", n)
	}
}

func TestTrunk_CommandsThatMustNotBeSharedUseTheClientsOwnConnection(t *testing.T) {
	for _, ask := range [][]string{{"SPOP", "k", "1000"}, {"SET", "k", "v", "GET"}, {"RENAME", "k", "k2"}, {"EVAL", "return 1", "1", "k"}} {
		var conns atomic.Int64
		p, dial, _ := started(t, config.Upstream{URL: "redis://" + scripted(t, counting(&conns))}, 0)
		apps := shared(t, p, dial, 0)
		asked(t, apps[1], command(ask...), "+"+strings.Join(ask, " ")+"\r\n")
		eventually(t, func() bool { return conns.Load() == 3 }, "the client's own connection")
	}
}

func TestTrunk_ClientsThatSpeakDifferentlyDoNotMix(t *testing.T) {
	var mu sync.Mutex
	heard := map[string]int{} // what a connection has heard first of all
	server := scripted(t, func(c net.Conn, r *bufio.Reader) {
		said := ""
		for {
			args, err := readCommand(r)
			if err != nil {
				return
			}
			if args[0] == "HELLO" || args[0] == "SELECT" {
				said += strings.Join(args, " ") + ";"
			} else {
				mu.Lock()
				heard[args[1]+" "+said]++
				mu.Unlock()
			}
			_, _ = io.WriteString(c, "+OK\r\n")
		}
	})
	p, dial, _ := started(t, config.Upstream{URL: "redis://" + server}, 0)
	var apps []net.Conn
	for range fewClients + 1 {
		apps = append(apps, dial())
	}
	eventually(t, func() bool { return p.clients.Load() > fewClients }, "the clients to be known")
	asked(t, apps[1], command("HELLO", "3"), "+OK\r\n")
	asked(t, apps[2], command("SELECT", "5"), "+OK\r\n")
	eventually(t, func() bool {
		for i, app := range apps[:3] {
			asked(t, app, command("GET", fmt.Sprint(i)), "+OK\r\n")
		}
		return p.trunks() == 3
	}, "three trunks")
	for range 10 {
		for i, app := range apps[:3] {
			asked(t, app, command("GET", fmt.Sprint(i)), "+OK\r\n")
		}
	}
	for what := range heard {
		if what != "0 " && what != "1 HELLO 3;" && what != "2 SELECT 5;" {
			t.Errorf("a command of client %q", what)
		}
	}
}

// sized answers with so many bytes as the key says.
func sized(c net.Conn, r *bufio.Reader) {
	for v := strings.Repeat("v", 4<<20); ; {
		args, err := readCommand(r)
		if err != nil {
			return
		}
		var size int
		_, _ = fmt.Sscan(args[1], &size)
		if _, err := fmt.Fprintf(c, "$%d\r\n%s\r\n", size, v[:size]); err != nil {
			return
		}
	}
}

func sizedAnswer(size int) string {
	return fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat("v", size))
}

func TestTrunk_AnswersOfAnySizeComeWhole(t *testing.T) {
	p, dial, _ := started(t, config.Upstream{URL: "redis://" + scripted(t, sized)}, 0)
	var apps []net.Conn
	for range 8 {
		apps = append(apps, dial())
	}
	eventually(t, func() bool { return int(p.clients.Load()) == len(apps) }, "the clients to be known")
	eventually(t, func() bool { asked(t, apps[0], command("GET", "0"), sizedAnswer(0)); return p.trunks() > 0 }, "the trunk")
	var all sync.WaitGroup
	for i, app := range apps {
		all.Go(func() {
			for _, size := range []int{1, bufferBytes - 20, 5, bufferBytes, 3 * bufferBytes, 7, sharedBytes - 9, sharedBytes, i * 100000, 0, 3 << 20, 2} {
				asked(t, app, command("GET", fmt.Sprint(size)), sizedAnswer(size))
			}
		})
	}
	all.Wait()
}

func TestTrunk_AClientThatDoesNotReadHoldsUpNobody(t *testing.T) {
	p, dial, _ := started(t, config.Upstream{URL: "redis://" + scripted(t, sized)}, 0)
	apps := make([]net.Conn, fewClients+1)
	for i := range apps {
		apps[i] = dial()
	}
	eventually(t, func() bool { return int(p.clients.Load()) == len(apps) }, "the clients to be known")
	eventually(t, func() bool { asked(t, apps[0], command("GET", "0"), sizedAnswer(0)); return p.trunks() > 0 }, "the trunk")
	_ = apps[1].(*net.TCPConn).SetReadBuffer(4096)
	for _, size := range []int{60000, 4 << 20} { // held for it; asked for again
		for range 50 {
			if _, err := io.WriteString(apps[1], command("GET", fmt.Sprint(size))); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			asked(t, apps[2], command("GET", "10"), sizedAnswer(10))
		}
	}
}

func TestTrunk_AClientThatLeavesDoesNotShiftTheAnswersOfOthers(t *testing.T) {
	hold := make(chan struct{})
	server := scripted(t, func(c net.Conn, r *bufio.Reader) {
		for {
			args, err := readCommand(r)
			if err != nil {
				return
			}
			if args[1] == "slow" {
				<-hold
			}
			fmt.Fprintf(c, "+%s\r\n", strings.Join(args, " "))
		}
	})
	p, dial, _ := started(t, config.Upstream{URL: "redis://" + server}, 0)
	apps := shared(t, p, dial, 8)
	for _, app := range apps[:3] {
		_, _ = io.WriteString(app, command("GET", "slow"))
	}
	eventually(t, func() bool { return p.pending.Load() == 3 }, "the slow commands to be asked")
	for _, app := range apps[:3] {
		app.Close()
	}
	var all sync.WaitGroup
	for i, app := range apps[3:] {
		all.Go(func() { asked(t, app, command("GET", fmt.Sprint(i)), fmt.Sprintf("+GET %d\r\n", i)) })
	}
	eventually(t, func() bool { return int(p.pending.Load()) == len(apps) }, "the others' to be asked")
	close(hold)
	all.Wait()
	eventually(t, func() bool { return int(p.clients.Load()) == len(apps)-3 && p.pending.Load() == 0 }, "the clients that left to be forgotten")
}

func TestTrunk_WhenItDiesEachWaitingCommandGetsTheErrorAndTheNextOnesWork(t *testing.T) {
	var die atomic.Bool
	server := scripted(t, func(c net.Conn, r *bufio.Reader) {
		for {
			args, err := readCommand(r)
			if err != nil || args[1] == "die" && die.Load() {
				return
			}
			if args[1] != "wait" {
				fmt.Fprintf(c, "+%s\r\n", strings.Join(args, " "))
			}
		}
	})
	p, dial, up := started(t, config.Upstream{URL: "redis://" + server}, 0)
	apps := shared(t, p, dial, 8)
	for _, app := range apps[1:] {
		_, _ = io.WriteString(app, command("INCR", "wait"))
	}
	eventually(t, func() bool { return int(p.pending.Load()) == len(apps)-1 }, "the commands to be asked")
	die.Store(true)
	want := "-ERR shard " + server + ": connection lost before the answer\r\n"
	asked(t, apps[0], command("INCR", "die"), want)
	for _, app := range apps[1:] {
		asked(t, app, "", want)
	}
	for range 3 {
		for _, app := range apps {
			asked(t, app, command("GET", "k"), "+GET k\r\n")
		}
	}
	// The last answer is counted after the app has it.
	eventually(t, func() bool { return up.Endpoints()[0].Load().InFlight() == 0 }, "no request to count as in flight")
}

func TestTrunk_AnIdleOneThatTheShardHasClosedIsReplaced(t *testing.T) {
	var conns sync.Map
	server := scripted(t, func(c net.Conn, r *bufio.Reader) { conns.Store(c, nil); echoing(c, r) })
	p, dial, _ := started(t, config.Upstream{URL: "redis://" + server}, 0)
	for range 3 {
		apps := shared(t, p, dial, 0)
		asked(t, apps[1], command("GET", "k"), "+GET k\r\n") // the shard knows the trunk
		conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		eventually(t, func() bool { return p.trunks() == 0 }, "the trunk to be forgotten")
		<-time.After(2 * freshFor) // closed as an idle one is: not within the moment after its last use
		for _, app := range apps {
			asked(t, app, command("GET", "k"), "+GET k\r\n")
			app.Close()
		}
		eventually(t, func() bool { return p.clients.Load() == 0 }, "the clients to leave")
	}
}

func TestTrunk_ASilentShardIsAnErrorInTime(t *testing.T) {
	server := scripted(t, func(c net.Conn, r *bufio.Reader) {
		for {
			args, err := readCommand(r)
			if err != nil {
				return
			}
			if args[1] != "never" {
				fmt.Fprintf(c, "+%s\r\n", strings.Join(args, " "))
			}
		}
	})
	p, dial, _ := started(t, config.Upstream{URL: "redis://" + server, HeaderTimeout: conf.Duration(2 * time.Second)}, 0)
	apps := shared(t, p, dial, 0)
	asked(t, apps[1], command("GET", "never"), "-ERR shard "+server+": no answer in time\r\n")
}

func TestTrunk_ASharedCommandIsAnsweredBeforeThoseBehindIt(t *testing.T) {
	p, dial, _ := started(t, config.Upstream{URL: "redis://" + scripted(t, echoing)}, 0)
	apps := shared(t, p, dial, 0)
	for range 200 {
		for _, request := range []string{command("GET", "a"), command("SET", "b", "c"), "PING\r\n" + command("GET", "d")} {
			if _, err := io.WriteString(apps[1], request); err != nil {
				t.Fatal(err)
			}
		}
		asked(t, apps[1], command("QUEUED", "x"), "+GET a\r\n+SET b c\r\n+PONG\r\n+GET d\r\n-ERR unknown command 'QUEUED'")
		r := bufio.NewReader(apps[1])
		if _, err := r.ReadString('\n'); err != nil || r.Buffered() > 0 {
			t.Fatal(err)
		}
	}
}

func TestTrunk_AReloadEndsThoseOfTheOldUpstream(t *testing.T) {
	var gone atomic.Int64
	old := scripted(t, func(c net.Conn, r *bufio.Reader) { echoing(c, r); gone.Add(1) })
	p, dial, _ := started(t, config.Upstream{URL: "redis://" + old}, 0)
	apps := shared(t, p, dial, 0)
	_, _, next := started(t, config.Upstream{URL: "redis://" + scripted(t, echoing)}, 0)
	p.Set(next)
	eventually(t, func() bool { return gone.Load() == 1 }, "the old trunk to end")
	asked(t, apps[1], command("GET", "k"), "+GET k\r\n")
}

func TestTrunk_MemcachedAnswersFindTheirClients(t *testing.T) {
	server := scripted(t, func(c net.Conn, r *bufio.Reader) {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			w := strings.Fields(line)
			switch {
			case w[0] == "set":
				_, _ = r.ReadString('\n')
				_, _ = io.WriteString(c, "STORED\r\n")
			case w[1] == "k":
				_, _ = io.WriteString(c, "END\r\n")
			case w[1] == "broken":
				_, _ = io.WriteString(c, "SERVER_ERROR out of memory\r\n")
			default:
				var size int
				_, _ = fmt.Sscan(w[1], &size)
				fmt.Fprintf(c, "VALUE %s 0 %d\r\n%s\r\nEND\r\n", w[1], size, strings.Repeat("v", size))
			}
		}
	})
	p, dial, _ := started(t, config.Upstream{URL: "memcached://" + server}, 0)
	apps := shared(t, p, dial, 12)
	var all sync.WaitGroup
	for _, app := range apps {
		all.Go(func() {
			asked(t, app, "get broken\r\n", "SERVER_ERROR out of memory\r\n")
			for _, size := range []int{0, 1, bufferBytes, sharedBytes, 1 << 20, 10} {
				asked(t, app, "set x 0 0 1\r\ny\r\n", "STORED\r\n")
				asked(t, app, fmt.Sprintf("get %d\r\n", size), fmt.Sprintf("VALUE %d 0 %d\r\n%s\r\nEND\r\n", size, size, strings.Repeat("v", size)))
			}
		})
	}
	all.Wait()
}
