// Package conf is the configuration of a helper: one struct whose yaml tags name its keys, filled from defaults, a strict
// YAML file, the environment and flags, in rising precedence. What is wrong is reported all at once, with its place.
package conf

import (
	"fmt"
	"net"
	"strconv"
	"time"
)

// Common are the settings that every helper has. A configuration struct embeds it inline.
type Common struct {
	AdminAddress   string   `yaml:"admin_address" doc:"Address of the admin server: probes, metrics, status page."`
	LogLevel       string   `yaml:"log_level" enum:"debug,info,warn,error" doc:"Least severe level that is logged."`
	LogFormat      string   `yaml:"log_format" enum:"text,json" doc:"Form of the helper's own log on standard error."`
	DrainQuiet     Duration `yaml:"drain_quiet" doc:"After SIGTERM, work on until the app has been quiet for this long."`
	DrainTimeout   Duration `yaml:"drain_timeout" doc:"After SIGTERM, stop at the latest after this long."`
	DebugEndpoints bool     `yaml:"debug_endpoints,omitempty" doc:"Serve /debug/pprof/ to loopback clients."`
}

// Base is the embedded part of a configuration.
func (c *Common) Base() *Common { return c }

func (c *Common) setDefaults(adminAddress string) {
	*c = Common{
		AdminAddress: adminAddress,
		LogLevel:     "info",
		LogFormat:    "text",
		DrainQuiet:   Duration(time.Second),
		DrainTimeout: Duration(25 * time.Second),
	}
}

func (c *Common) bind(f *Flags) {
	f.String(&c.AdminAddress, "admin-address", "admin server: probes, metrics, status page")
	f.Enum(&c.LogLevel, "log-level", []string{"debug", "info", "warn", "error"}, "least severe level that is logged")
	f.Enum(&c.LogFormat, "log-format", []string{"text", "json"}, "form of the helper's own log")
	f.Duration(&c.DrainQuiet, "drain-quiet", "after SIGTERM, work on until the app has been quiet for this long")
	f.Duration(&c.DrainTimeout, "drain-timeout", "after SIGTERM, stop at the latest after this long")
	f.Bool(&c.DebugEndpoints, "debug-endpoints", "serve /debug/pprof/ to loopback clients")
}

func (c *Common) validate(p *Problems) {
	_, port, err := net.SplitHostPort(c.AdminAddress)
	if err == nil {
		if _, wrong := strconv.ParseUint(port, 10, 16); wrong != nil {
			err = fmt.Errorf("the port %q is no number below 65536", port)
		}
	}
	if err != nil {
		p.Add("admin_address", err.Error(), "write :19101 or 127.0.0.1:19101")
	}
	if c.DrainQuiet < 0 {
		p.Add("drain_quiet", "must not be negative", "")
	}
	if c.DrainTimeout < c.DrainQuiet {
		p.Add("drain_timeout", "is shorter than drain_quiet", "the drain would always end before the app counts as quiet")
	}
}
