// Package shape changes records on their way: it drops, samples, limits, redacts, adds and renames, in the order of the
// configuration. Whether a record is dropped depends on the record alone wherever that is possible, so that a resend
// meets the same decision.
package shape

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// Config are the steps, in order.
type Config []Step

// Step is one step: exactly one kind.
type Step struct {
	Drop    *Condition `yaml:"drop,omitempty" doc:"Drops the records for which the condition holds."`
	Keep    *Condition `yaml:"keep,omitempty" doc:"Drops the records for which the condition does not hold."`
	Redact  *Redact    `yaml:"redact,omitempty" doc:"Replaces what must not leave the Pod."`
	Sample  *Sample    `yaml:"sample,omitempty" doc:"Keeps a part of the records."`
	Limit   *Limit     `yaml:"limit,omitempty" doc:"Bounds the records a second."`
	Add     *Values    `yaml:"add,omitempty" doc:"Sets fields to constants."`
	Rename  *Values    `yaml:"rename,omitempty" doc:"Gives fields another name; message and level are names too."`
	PodInfo *PodInfo   `yaml:"podinfo,omitempty" doc:"Adds labels and annotations of the Pod from a downward API volume."`
}

// Values are names with values.
type Values map[string]string

// Condition is a condition over level, message, file, time and the record's fields: level == "debug" && status >= 500.
type Condition struct {
	If string `yaml:"if" doc:"For example: level == \"debug\" && !startsWith(path, \"/api\")."`
}

// Sample keeps a part of the records. The choice depends on the record's ID: a resend meets the same one.
type Sample struct {
	Rate float64 `yaml:"rate" doc:"Part that is kept, 0 to 1."`
	If   string  `yaml:"if,omitempty" doc:"Only records for which this holds are sampled; the others pass."`
}

// Limit drops the records above a rate.
type Limit struct {
	Rate  conf.Rate `yaml:"rate" doc:"Records a second that pass, for each key."`
	Burst int       `yaml:"burst,omitempty" doc:"Records that pass at once after a pause; default one second's worth."`
	Per   []string  `yaml:"per,omitempty" doc:"What has a rate of its own: file, level, or fields; default all records together."`
}

// The reasons for which records end here, as the dropped metrics count them.
const (
	ReasonDrop   = "shape_drop"
	ReasonKeep   = "shape_keep"
	ReasonSample = "shape_sample"
	ReasonLimit  = "shape_limit"
)

// Redacts says that there is something that must not be seen.
func (c Config) Redacts() bool {
	return slices.ContainsFunc(c, func(s Step) bool { return s.Redact != nil })
}

// New makes the stages. Each call makes its own, which need no locks.
func New(c Config) ([]record.Stage, error) {
	stages := make([]record.Stage, 0, len(c))
	for i := range c {
		s, err := c[i].stage()
		if err != nil {
			return nil, fmt.Errorf("shape step %d: %w", i+1, err)
		}
		stages = append(stages, s)
	}
	return stages, nil
}

func (s *Step) stage() (record.Stage, error) {
	switch {
	case s.Drop != nil:
		c, err := newCondition(s.Drop.If)
		return stageFunc(func(r *record.Record) string { return when(c.holds(r), ReasonDrop) }), err
	case s.Keep != nil:
		c, err := newCondition(s.Keep.If)
		return stageFunc(func(r *record.Record) string { return when(!c.holds(r), ReasonKeep) }), err
	case s.Redact != nil:
		return newRedactor(s.Redact)
	case s.Sample != nil:
		return newSampler(s.Sample)
	case s.Limit != nil:
		return newLimiter(s.Limit), nil
	case s.Add != nil:
		return newAdder(*s.Add), nil
	case s.Rename != nil:
		return newRenamer(*s.Rename), nil
	case s.PodInfo != nil:
		return newPodInfo(s.PodInfo), nil
	default:
		return nil, fmt.Errorf("names no kind")
	}
}

// stageFunc is a stage that is one function.
type stageFunc func(r *record.Record) string

// Apply calls f.
func (f stageFunc) Apply(r *record.Record) (drop string) { return f(r) }

func when(yes bool, reason string) string {
	if yes {
		return reason
	}
	return ""
}

// Validate notes what is wrong with c, which stands at path.
func (c Config) Validate(p *conf.Problems, path string) {
	for i := range c {
		at := path + "[" + strconv.Itoa(i) + "]"
		p.OneOf(at, &c[i])
		if _, err := c[i].stage(); err != nil && c[i] != (Step{}) {
			p.Add(at, err.Error(), "")
		}
		if s := c[i].Sample; s != nil && (s.Rate < 0 || s.Rate > 1) {
			p.Add(at+".sample.rate", "is not between 0 and 1", "")
		}
		if l := c[i].Limit; l != nil && l.Rate <= 0 {
			p.Add(at+".limit.rate", "is missing", "write 1000/s or 10/m")
		}
	}
}
