package main

import (
	"github.com/pod-helpers/pod-helpers/adapter-metrics/config"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/decode"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/series"
	"github.com/pod-helpers/pod-helpers/adapter-metrics/source"
)

// log is the plan of a log file that is followed.
func (p *pipeline) log(s *config.Source) (plan, error) {
	options := s.LogOptions()
	if _, err := decode.NewLog(nil, nil, options); err != nil {
		return plan{}, err
	}
	path, fromStart := s.Log.Path, s.Log.FromStart
	return plan{
		lines: func(store *series.Store, src *series.Source, _ decode.Mapper) lineDecoder {
			d, _ := decode.NewLog(store, src, options) // compiled above
			return d
		},
		follow: func(before source.Follower) source.Follower {
			return source.Follow(path, fromStart, before, p.env.Log)
		},
	}, nil
}
