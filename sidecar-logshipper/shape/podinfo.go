package shape

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// PodInfo adds what a downward API volume says about the Pod. The files are read again when they change, which they do
// while the Pod runs: labels and annotations can be edited.
type PodInfo struct {
	Dir  string   `yaml:"dir,omitempty" doc:"Folder with the files labels and annotations; default /etc/podinfo."`
	Only []string `yaml:"only,omitempty" doc:"Names of labels and annotations that are added; default all."`
}

const defaultPodInfo = "/etc/podinfo"

// recheck bounds how often the file system is asked whether something has changed.
const recheck = time.Second

// podInfo is the stage. A file that is missing, or missing for now, adds nothing.
type podInfo struct {
	dir     string
	only    []string
	checked time.Time
	target  string // what ..data points to: it is swapped with every change
	fields  []record.Field
}

func newPodInfo(c *PodInfo) *podInfo {
	dir := c.Dir
	if dir == "" {
		dir = defaultPodInfo
	}
	return &podInfo{dir: dir, only: c.Only}
}

// Apply adds label.NAME and annotation.NAME; a field of the record wins.
func (p *podInfo) Apply(r *record.Record) (drop string) {
	if now := time.Now(); now.Sub(p.checked) >= recheck {
		p.checked = now
		p.refresh()
	}
	for _, f := range p.fields {
		if r.Field(f.Name) == nil {
			r.Fields = append(r.Fields, f)
		}
	}
	return ""
}

func (p *podInfo) refresh() {
	target, err := os.Readlink(filepath.Join(p.dir, "..data"))
	if err == nil && target == p.target && p.fields != nil {
		return
	}
	p.target = target
	p.fields = p.read(p.read(nil, "label.", "labels"), "annotation.", "annotations")
}

// read appends the pairs of one file: lines of key="value", where the value is quoted as in Go.
func (p *podInfo) read(fields []record.Field, prefix, file string) []record.Field {
	text, err := os.ReadFile(filepath.Join(p.dir, file))
	if err != nil {
		return fields
	}
	for line := range bytes.Lines(text) {
		name, quoted, ok := bytes.Cut(bytes.TrimSpace(line), []byte{'='})
		value, err := strconv.Unquote(string(quoted))
		if ok && err == nil && (p.only == nil || slices.Contains(p.only, string(name))) {
			fields = append(fields, record.Field{Name: prefix + string(name), Value: []byte(value)})
		}
	}
	return fields
}
