package output

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// Config is one entry of outputs: exactly one kind.
type Config struct {
	ID            string               `yaml:"name,omitempty" doc:"Under which positions are kept and metrics counted; default the kind and the URL."`
	Stdout        *StdoutConfig        `yaml:"stdout,omitempty"`
	File          *FileConfig          `yaml:"file,omitempty"`
	HTTP          *JSONConfig          `yaml:"http,omitempty"`
	Loki          *LokiConfig          `yaml:"loki,omitempty"`
	Elasticsearch *ElasticsearchConfig `yaml:"elasticsearch,omitempty"`
	VictoriaLogs  *VictoriaLogsConfig  `yaml:"victorialogs,omitempty"`
	OTLP          *OTLPConfig          `yaml:"otlp,omitempty"`
	Splunk        *SplunkConfig        `yaml:"splunk,omitempty"`
	Syslog        *SyslogConfig        `yaml:"syslog,omitempty"`
	Kafka         *KafkaConfig         `yaml:"kafka,omitempty"`
	Fluent        *FluentConfig        `yaml:"fluent,omitempty"`
	S3            *S3Config            `yaml:"s3,omitempty"`
}

// Env is what an output gets from the helper around it.
type Env struct {
	Log     *slog.Logger
	Secrets *conf.Secrets
	Labels  []record.Field // in this order on every record
	Stdout  io.Writer
}

// New makes the output that c names. Files that c names are read; the network is not touched.
func New(c Config, env Env) (Output, error) {
	if env.Secrets == nil {
		env.Secrets = conf.NewSecrets()
	}
	switch {
	case c.Stdout != nil:
		return NewStdout(*c.Stdout, env), nil
	case c.File != nil:
		return NewFile(*c.File, env), nil
	case c.HTTP != nil:
		return opened(NewHTTP(*c.HTTP, env))
	case c.Loki != nil:
		return opened(NewLoki(*c.Loki, env))
	case c.Elasticsearch != nil:
		return opened(NewElasticsearch(*c.Elasticsearch, env))
	case c.VictoriaLogs != nil:
		return opened(NewVictoriaLogs(*c.VictoriaLogs, env))
	case c.OTLP != nil:
		return opened(NewOTLP(*c.OTLP, env))
	case c.Deferred():
		return opened(NewSplunkAck(*c.Splunk, env))
	case c.Splunk != nil:
		return opened(NewSplunk(*c.Splunk, env))
	case c.Syslog != nil:
		return opened(NewSyslog(*c.Syslog, env))
	case c.Kafka != nil:
		return opened(NewKafka(*c.Kafka, env))
	case c.Fluent != nil:
		return opened(NewFluent(*c.Fluent, env))
	case c.S3 != nil:
		return opened(NewS3(*c.S3, env))
	default:
		return nil, fmt.Errorf("open output: names no kind")
	}
}

// opened turns a constructor's results into an interface that is nil when there is an error.
func opened[T Output](o T, err error) (Output, error) {
	if err != nil {
		return nil, err
	}
	return o, nil
}

// Name is the key of c in the checkpoint and in metrics: the configured name, or the kind with where it goes.
func (c *Config) Name() string {
	if c.ID != "" {
		return c.ID
	}
	switch {
	case c.Stdout != nil:
		return "stdout"
	case c.File != nil:
		return "file://" + c.File.Path
	case c.Syslog != nil:
		return "syslog+" + bare(c.Syslog.URL)
	case c.Kafka != nil:
		return "kafka://" + strings.Join(c.Kafka.Brokers, ",") + "/" + c.Kafka.Topic
	case c.Fluent != nil:
		return "fluent+" + bare(c.Fluent.URL)
	}
	if kind, h := c.overHTTP(); h != nil {
		return kind + "+" + bare(h.URL)
	}
	return ""
}

// overHTTP is the kind and the common part of an output over HTTP, nil for the others.
func (c *Config) overHTTP() (kind string, h *HTTPConfig) {
	switch {
	case c.HTTP != nil:
		return "http", &c.HTTP.HTTPConfig
	case c.Loki != nil:
		return "loki", &c.Loki.HTTPConfig
	case c.Elasticsearch != nil:
		return "elasticsearch", &c.Elasticsearch.HTTPConfig
	case c.VictoriaLogs != nil:
		return "victorialogs", &c.VictoriaLogs.HTTPConfig
	case c.OTLP != nil:
		return "otlp", &c.OTLP.HTTPConfig
	case c.Splunk != nil:
		return "splunk", &c.Splunk.HTTPConfig
	case c.S3 != nil:
		return "s3", &c.S3.HTTPConfig
	default:
		return "", nil
	}
}

// bare is a URL without credentials, query and fragment.
func bare(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "invalid"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return strings.TrimRight(u.String(), "/")
}

// Validate notes what is wrong with c, which stands at path.
func (c *Config) Validate(p *conf.Problems, path string) {
	p.OneOf(path, c)
	kind, h := c.overHTTP()
	switch {
	case c.File != nil && c.File.Path == "":
		p.Add(path+".file.path", "is missing", "write the file to append to")
	case c.File != nil && c.File.isDirectory():
		p.Add(path+".file.path", c.File.Path+" is a directory", "write the file to append to")
	case c.Syslog != nil:
		c.Syslog.validate(p, path+".syslog")
	case c.Kafka != nil:
		c.Kafka.validate(p, path+".kafka")
	case c.Fluent != nil:
		c.Fluent.validate(p, path+".fluent")
	case h != nil:
		web := *h
		if c.OTLP != nil {
			var grpc bool
			if web.URL, grpc = overGRPC(h.URL); grpc && h.Compression == "snappy" {
				p.Add(path+".otlp.compression", "is snappy, which gRPC has no common form of", "use gzip, zstd or none")
			}
		}
		web.validate(p, path+"."+kind)
	}
	if c.Loki != nil && c.Loki.Compression != "" {
		p.Add(path+".loki.compression", "is not a choice: its protocol packs bodies with snappy", "remove it")
	}
	if c.Elasticsearch != nil {
		c.Elasticsearch.validate(p, path+".elasticsearch")
	}
	if c.S3 != nil {
		c.S3.validate(p, path+".s3")
	}
}

func (h *HTTPConfig) validate(p *conf.Problems, path string) {
	u, err := url.Parse(h.URL)
	switch {
	case h.URL == "":
		p.Add(path+".url", "is missing", "write http://host:port or https://host:port")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		p.Add(path+".url", fmt.Sprintf("%q is not an http:// or https:// URL", h.URL), "")
	case u.User != nil:
		p.Add(path+".url", "has credentials in it", "use auth: {username: …, password: \"file:/path\"}")
	}
	if h.Auth.Bearer != "" && h.Auth.Username != "" {
		p.Add(path+".auth", "has bearer and username", "one kind of credentials is sent")
	}
	if h.Auth.Password != "" && h.Auth.Username == "" {
		p.Add(path+".auth", "has a password and no username", "write both, or bearer")
	}
	h.TLS.Validate(path+".tls", p)
}
