package config

import (
	"net"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/expose"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// Exposition says where, to whom and in which formats the page is served. A change needs a restart.
type Exposition struct {
	MetricsAddress string `yaml:"metrics_address,omitempty" doc:"Address that serves /metrics and nothing else; then the admin server shows it to loopback only. Default is the admin server."`
	WebConfig      string `yaml:"web_config,omitempty" doc:"TLS and basic authentication of metrics_address: the file that Prometheus' exporters take by --web.config.file."`
	Created        bool   `yaml:"created_timestamps,omitempty" doc:"Tell since when counters, histograms and summaries that are counted here count."`
	OpenMetrics2   bool   `yaml:"openmetrics_2,omitempty" doc:"Serve the experimental OpenMetrics 2.0 to scrapers that ask for it."`
}

func (e *Exposition) bind(f *conf.Flags) {
	f.String(&e.MetricsAddress, "metrics-address", "serves /metrics and nothing else")
	f.String(&e.WebConfig, "web-config", "TLS and basic authentication of --metrics-address")
	f.Bool(&e.Created, "created-timestamps", "tell since when counters count")
	f.Bool(&e.OpenMetrics2, "openmetrics-2", "serve OpenMetrics 2.0 to scrapers that ask for it")
}

func (e *Exposition) check(admin string, p *conf.Problems) {
	if e.MetricsAddress != "" {
		if _, _, err := net.SplitHostPort(e.MetricsAddress); err != nil {
			p.Add("metrics_address", err.Error(), "write :9103 or 127.0.0.1:9103")
		} else if e.MetricsAddress == admin {
			p.Add("metrics_address", "is the admin server's", "choose another port, or leave it out")
		}
	}
	if e.WebConfig == "" {
		return
	}
	if e.MetricsAddress == "" {
		p.Add("web_config", "goes with metrics_address", "the probes of the kubelet need the admin server as it is; set metrics_address: ':9103'")
	}
	expose.CheckWebConfig(e.WebConfig, p)
}
