package decode

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// walked collects what a decoder yields.
type walked struct {
	path []string
	out  []string
}

func (w *walked) Push(s []byte) { w.path = append(w.path, string(s)) }
func (w *walked) Pop()          { w.path = w.path[:len(w.path)-1] }
func (w *walked) Leaf(s *sample.Sample) {
	labels := ""
	for _, l := range s.Labels {
		labels += fmt.Sprintf("{%s=%s}", l.Name, l.Value)
	}
	w.out = append(w.out, strings.Join(w.path, ".")+labels+"="+string(s.Text))
	if s.Fields != nil {
		s.Fields.Lookup(0, "x")
		s.Fields.Lookup(1, "x")
	}
}

func TestFormats_YieldPathsAndValues(t *testing.T) {
	for _, c := range []struct{ format, doc, want string }{
		{"keyvalue", "accepted conn:   12\n# no\nname=x\n", "accepted conn=12 name=x"},
		{"csv", "name,n\na,1\n\"b,c\",2\n", "0.name=a 0.n=1 1.name=b,c 1.n=2"},
		{"redis", "$40\r\n# Keyspace\r\ndb0:keys=1,expires=0\r\n# Memory\r\nused_memory:5\r\n", "keyspace.db0.keys=1 keyspace.db0.expires=0 memory.used_memory=5"},
		{"memcached", "STAT cmd_set 5\r\nSTAT cas_hits 2\r\nEND\r\nEND\r\nSTAT items:1:age 3\r\nEND\r\nSTAT 1:chunk_size 96\r\nSTAT active_slabs 1\r\nEND\r\n",
			"stats.cmd_set=5 stats.cas_hits=2 stats.set_hits=3 items.1.age=3 slabs.1.chunk_size=96 slabs.active_slabs=1"},
		{"nginx", "Active connections: 2 \nserver accepts handled requests\n 7 8 9 \nReading: 0 Writing: 1 Waiting: 1 \n", "active=2 accepts=7 handled=8 requests=9 reading=0 writing=1 waiting=1"},
		{"nginx", "Active connections: 2 \nserver accepts handled requests request_time\n 7 8 9 1234\nReading: 0 Writing: 1 Waiting: 1 \n", "active=2 accepts=7 handled=8 requests=9 request_time=1234 reading=0 writing=1 waiting=1"}, // Tengine's extra column
		{"haproxy", "# pxname,svname,scur,\nweb,FRONTEND,1,\nshop,one,,\nshop,BACKEND,3,\n", "frontend.web.pxname=web frontend.web.svname=FRONTEND frontend.web.scur=1 server.shop.one.pxname=shop server.shop.one.svname=one backend.shop.pxname=shop backend.shop.svname=BACKEND backend.shop.scur=3"},
		{"prometheus", "# TYPE a counter\na{x=\"1\",y=\"q\\\"}\"} 5 1700000000\na_b 1e3 # {t=\"1\"} 1\n# EOF\n", `a{x=1}{y=q"}}=5 a_b=1e3`},
		{"actuator", `{"name":"jvm.memory.used","baseUnit":"bytes","measurements":[{"statistic":"VALUE","value":1.5E8}]}`, "jvm.memory.used.value=1.5E8"},
	} {
		w := &walked{}
		if err := Format(c.format)([]byte(c.doc), w); err != nil {
			t.Errorf("%s: %v", c.format, err)
		}
		if got := strings.Join(w.out, " "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.format, got, c.want)
		}
	}
}

func TestFormats_RefuseAForeignDocument(t *testing.T) {
	for _, name := range FormatNames() {
		if err := Format(name)([]byte("<html><body>Please log in</body></html>"), &walked{}); err == nil {
			t.Errorf("%s takes a login page", name)
		}
	}
}

// FuzzFormats leads any bytes through each decoder: they may be refused, and every Push has its Pop.
func FuzzFormats(f *testing.F) {
	for _, doc := range []string{"a: 1\nb=2", "# S\r\ndb0:keys=1,x", "STAT 1:a 5\r\nEND\r\n", "Active connections: 2\nserver a b\n 1 2\n", "# pxname,svname,a\nx,FRONTEND,1\n", "a{b=\"\\\\\"} 1\n", `{"name":"a.b","measurements":[{"statistic":"V","value":1}]}`, "Scoreboard: __W\n"} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		for _, name := range FormatNames() {
			w := &walked{}
			_ = Format(name)(doc, w)
			if name != "json" && name != "expvar" && name != "jolokia" && name != "phpfpm" && len(w.path) != 0 {
				t.Errorf("%s leaves %q", name, w.path)
			}
		}
	})
}
