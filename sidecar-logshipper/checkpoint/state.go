// Package checkpoint keeps what must survive a restart: for each generation of a file who it is and how far each output has
// acknowledged it. It is one readable JSON file, replaced as a whole.
package checkpoint

import (
	"time"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/find"
)

// Version of the format; a file of another version is refused rather than misread.
const Version = 1

// State is the whole file.
type State struct {
	Version int       `json:"version"`
	Saved   time.Time `json:"saved"`
	// Looked is when the files were looked for last: what was born since then is unknown here.
	Looked time.Time `json:"looked"`
	// Files in the order in which their records are delivered where they share a path.
	Files []File `json:"files"`
	// Outputs holds what a resumable output asked to be kept with the positions, by output name.
	Outputs map[string]string `json:"outputs,omitempty"`
}

// File is one generation.
type File struct {
	Path       string `json:"path"`              // the name it was found under: the stream it belongs to
	Now        string `json:"now,omitempty"`     // where it was last seen, when that differs
	Generation uint64 `json:"generation,string"` // record.Source.Generation
	// Named means that Generation is final: records may have been sent under it.
	Named bool     `json:"named,omitempty"`
	Epoch int      `json:"epoch,omitempty"` // times that this inode was truncated and began again
	Key   find.Key `json:"key"`
	Born  int64    `json:"born,string"` // Unix nanoseconds from which the times of its records count
	Head  Mark     `json:"head"`        // of the first bytes
	Size  int64    `json:"size"`        // last seen
	// Frozen means that nothing more will be written: a copy, or a compressed file.
	Frozen bool `json:"frozen,omitempty"`
	// Finished is when all of it had been acknowledged and it was let go: a tombstone, so that it is not read again.
	Finished  time.Time           `json:"finished,omitzero"`
	Positions map[string]Position `json:"positions"` // by output name
}

// Delivered says that every output has acknowledged all size bytes of the file at path.
func (s *State) Delivered(path string, size int64) bool {
	for i := range s.Files {
		if s.Files[i].Path != path {
			continue
		}
		for _, p := range s.Files[i].Positions {
			if p.Offset < size {
				return false
			}
		}
		return len(s.Files[i].Positions) > 0
	}
	return false
}

// Position is how far one output has acknowledged a generation.
type Position struct {
	Offset int64 `json:"offset"`
	// Marker of the bytes before Offset: what tells "continue here" from "truncated and written again".
	Marker Mark `json:"marker"`
	// Sent is of the bytes from Offset on that had been read when this was saved. Their records may have arrived without our
	// knowing, so what stands there now must be the same before it is sent under the same IDs.
	Sent Mark `json:"sent,omitzero"`
}

// Mark is the xxhash64 of Len bytes.
type Mark struct {
	Len int    `json:"len"`
	Sum uint64 `json:"sum,string"`
}
