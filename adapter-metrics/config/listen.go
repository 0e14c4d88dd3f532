package config

import (
	"fmt"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/source"
	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// Listen says where lines arrive.
type Listen struct {
	Mapping string   `yaml:"mapping,omitempty" doc:"Mapping file of statsd_exporter; its mappings come behind the rules."`
	Listen  []string `yaml:"listen" doc:"udp://:8125, tcp://:8125, unixgram:///path, unix:///path."`

	mapped mapped
}

// pushes is the key under which the addresses stand.
func (s *Source) pushes() string {
	if s.StatsD != nil {
		return "statsd"
	}
	return "graphite"
}

// listen are the addresses of a source that pushes.
func (s *Source) listen() []string {
	switch {
	case s.StatsD != nil:
		return s.StatsD.Listen
	case s.Graphite != nil:
		return s.Graphite.Listen
	}
	return nil
}

// validateListen notes what is wrong with where a source listens; taken says who listens where.
func (s *Source) validateListen(path string, taken map[string]string, p *conf.Problems) {
	if s.StatsD == nil && s.Graphite == nil {
		return
	}
	if path += "." + s.pushes(); len(s.listen()) == 0 {
		p.Add(path+".listen", "names no address", `listen: ["udp://:8125"]`)
	}
	for i, address := range s.listen() {
		at := fmt.Sprintf("%s.listen[%d]", path, i)
		if by, ok := taken[address]; ok {
			p.Add(at, address+" is what "+by+" listens on", "give each an address of its own")
		}
		if _, _, err := source.SplitAddress(address); err != nil {
			p.Add(at, address+": "+err.Error(), "")
		}
		taken[address] = s.Name
	}
}
