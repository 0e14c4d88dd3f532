package output

import (
	"context"
	"net/url"
	"strings"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// VictoriaLogsConfig is a VictoriaLogs, single node or vlinsert.
type VictoriaLogsConfig struct {
	HTTPConfig `yaml:",inline"`
	Streams    []string `yaml:"streams,omitempty" doc:"Fields that make a stream (_stream_fields); default file and all labels."`
	Tenant     string   `yaml:"tenant,omitempty" doc:"ACCOUNT or ACCOUNT:PROJECT, sent as the AccountID and ProjectID headers."`
}

// VictoriaLogs posts JSON lines to /insert/jsonline. Records are parsed first and lines never pass as they stand: it skips
// lines that it cannot parse without saying so in its answer.
type VictoriaLogs struct {
	jsonLines
	http *client
}

// NewVictoriaLogs makes the output; the network is not touched before Send.
func NewVictoriaLogs(c VictoriaLogsConfig, env Env) (*VictoriaLogs, error) {
	c.Compression = packing(c.Compression, c.URL, "zstd")
	k := defaultKeys(env)
	k.Time, k.Message = "_time", "_msg"
	streams := c.Streams
	if streams == nil {
		streams = append(streams, k.File)
		for i := range env.Labels {
			streams = append(streams, env.Labels[i].Name)
		}
	}
	headers := map[string]conf.Secret{"Content-Type": "application/stream+json"}
	if account, project, _ := strings.Cut(c.Tenant, ":"); account != "" {
		headers["AccountID"] = conf.Secret(account)
		if project != "" {
			headers["ProjectID"] = conf.Secret(project)
		}
	}
	path := "/insert/jsonline"
	h, err := newClient(withQuery(c.HTTPConfig, "_stream_fields", strings.Join(streams, ",")), path, headers, env)
	v := &VictoriaLogs{http: h}
	v.layout = func(s *record.Source) layout { return k.plain(s, false, "\n") }
	v.shaped = func(dst []byte, r *record.Record) []byte { return append(k.appendObject(dst, r), '\n') }
	return v, err
}

// withQuery adds a query parameter to the URL unless it is there.
func withQuery(c HTTPConfig, name, value string) HTTPConfig {
	u, err := url.Parse(c.URL)
	if err != nil {
		return c // newClient names the error
	}
	q := u.Query()
	if !q.Has(name) {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	c.URL = u.String()
	return c
}

// WantsParsed is true: timestamp and level are what a log store is asked for.
func (*VictoriaLogs) WantsParsed() bool { return true }

// Begin starts a body.
func (*VictoriaLogs) Begin(dst []byte) []byte { return dst }

// End finishes a body.
func (*VictoriaLogs) End(dst []byte) []byte { return dst }

// Send posts one body.
func (v *VictoriaLogs) Send(ctx context.Context, b *Batch) error {
	return v.http.post(ctx, b.Body, nil)
}

// Close ends the connections.
func (v *VictoriaLogs) Close() error { return v.http.close() }
