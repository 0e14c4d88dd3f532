package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// jsonCase is a document to become metrics: 175 bytes a value, as status documents have it.
type jsonCase struct {
	name  string
	bytes int
	goal  float64 // times json_exporter
}

func jsonCases() []jsonCase {
	return []jsonCase{{"JSON, 10 KiB", 10 << 10, 30}, {"JSON, 1 MiB", 1 << 20, 100}, {"JSON, 10 MiB", 10 << 20, 200}}
}

// documentMemory is the goal for the peak of resident memory, in documents, of one that is ten times what the helper itself takes.
const documentMemory = 7

var documentValues = []string{"used", "idle", "waiting", "created_total", "bytes_in", "bytes_out"}

// document has at least size bytes.
func document(size int) string {
	var b strings.Builder
	b.WriteString(`{"pools":[`)
	for i := 0; b.Len() < size-2; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"pool":"pool-%06d","host":"node-%d.shop.internal","state":"UP","description":"%s"`, i, i%17, strings.Repeat("a sentence about this pool. ", 30))
		for n, v := range documentValues {
			fmt.Fprintf(&b, `,"%s":%d.%d`, v, i*(n+3)%5000, n)
		}
		b.WriteByte('}')
	}
	b.WriteString("]}")
	return b.String()
}

// documents is a role: an app that answers with documents of the size in the path.
func documents(args []string) error {
	texts := map[string]string{}
	for _, c := range jsonCases() {
		texts[fmt.Sprintf("/%d", c.bytes)] = document(c.bytes)
	}
	return http.ListenAndServe(args[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(texts[r.URL.Path])))
		_, _ = w.Write([]byte(texts[r.URL.Path]))
	}))
}

// jsonRows measure the CPU time from a document to a page.
func jsonRows(o *options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	address := freeAddress()
	app, err := startOn(loadCore, "http://"+address+"/", self, "documents", address)
	if err != nil {
		return err
	}
	defer app.stop()
	for _, c := range jsonCases() {
		if !o.only.MatchString(c.name) {
			continue
		}
		if err := o.jsonRow(c, fmt.Sprintf("http://%s/%d", address, c.bytes)); err != nil {
			return err
		}
	}
	return nil
}

func (o *options) jsonRow(c jsonCase, url string) error {
	var times, peaks [2][]float64
	rounds := o.rounds
	if c.bytes > 1<<20 {
		rounds = min(rounds, 2) // json_exporter takes a quarter of a minute for each scrape
	}
	for range rounds {
		for i, begin := range []func(*options, string) (*process, error){startJSONExporter, startOurJSON} {
			p, err := begin(o, url)
			if err != nil {
				return err
			}
			ms, err := p.scrapeCost(format{}, time.Duration(o.seconds)*time.Second, 1)
			peaks[i] = append(peaks[i], p.peak())
			p.stop()
			if err != nil {
				return err
			}
			times[i] = append(times[i], ms)
		}
	}
	note := fmt.Sprintf("peak RSS %s against %s MB", short(median(peaks[1])), short(median(peaks[0])))
	o.table.add(result{name: c.name, unit: "ms CPU", peer: "json_exporter", theirs: median(times[0]), ours: median(times[1]), less: true, goal: c.goal, note: note})
	if c.bytes > 1<<20 {
		o.table.add(result{name: c.name + ", peak RSS", unit: "documents", peer: "json_exporter", less: true, most: documentMemory,
			theirs: median(peaks[0]) * (1 << 20) / float64(c.bytes), ours: median(peaks[1]) * (1 << 20) / float64(c.bytes)})
	}
	return nil
}

func startJSONExporter(o *options, url string) (*process, error) {
	config, web := filepath.Join(o.dir, "json_exporter.yml"), freeAddress()
	var b strings.Builder
	b.WriteString("modules:\n  default:\n    metrics:\n    - name: pool\n      type: object\n      path: '{.pools[*]}'\n      labels: {pool: '{.pool}', host: '{.host}'}\n      values:\n")
	for _, v := range documentValues {
		fmt.Fprintf(&b, "        %s: '{.%s}'\n", v, v)
	}
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	p, err := start("http://"+web+"/metrics", o.jsonExporter, "--config.file="+config, "--web.listen-address="+web, "--log.level=error")
	if p != nil {
		p.page = "http://" + web + "/probe?module=default&target=" + url
	}
	return p, err
}

func startOurJSON(o *options, url string) (*process, error) {
	config, admin := filepath.Join(o.dir, "json.yaml"), freeAddress()
	var b strings.Builder
	fmt.Fprintf(&b, "sources:\n- json: {url: %q}\n  rules:\n", url)
	for _, v := range documentValues {
		fmt.Fprintf(&b, "  - {match: 'pools.*.%s', name: pool_%s, labels: {pool: .pool, host: .host}}\n", v, v)
	}
	b.WriteString("limits: {series: 2000000, per_source: 2000000}\n")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	return start("http://"+admin+"/metrics", o.ours, "--config", config, "--admin-address", admin)
}
