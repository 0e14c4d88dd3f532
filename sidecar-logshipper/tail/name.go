package tail

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"

	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/checkpoint"
	"github.com/pod-helpers/pod-helpers/sidecar-logshipper/record"
)

// name makes the first line part of the generation's ID when the first of it is taken. A file that was truncated and written
// anew while an old checkpoint says that nothing was read yet is another generation, although the file system sees no
// difference: with the same ID, a destination that compares IDs would take its lines for a repetition. data stands at
// offset at; used are the bytes that were read with it, itself at the end.
func (s *Set) name(g *Generation, data, used []byte, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.named {
		return
	}
	line := data[:min(len(data), headBytes)]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	h := xxhash.New()
	_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, s.generationID(g.key, g.born, g.epoch)))
	_, _ = h.Write(line)
	if s.blind { // nobody may find this ID again: not for what stands there once the file was written anew
		_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, rand.Uint64()))
	}
	g.Source, g.named = &record.Source{Path: g.Source.Path, Generation: h.Sum64()}, true
	if head := used[:min(len(used), headBytes)]; at == 0 && len(head) > g.head.Len { // what is named must be recognised
		g.head = checkpoint.Mark{Len: len(head), Sum: xxhash.Sum64(head)}
	}
}

// AwaitSaved returns when the checkpoint knows who the generations of the segments are, or could not be written, or ctx
// ends. Only then may their records go out: a generation that was moved, copied or compressed while nobody looked has its ID
// from the checkpoint alone, and a destination that compares IDs knows a resend by it. It waits once for each generation.
func (s *Set) AwaitSaved(ctx context.Context, segments []Segment) error {
	for {
		s.mu.Lock()
		known, saved := true, s.saved
		for i := range segments {
			known = known && (segments[i].Generation.saved == identitySaved || len(segments[i].Chunk.Data) == 0)
		}
		if !known {
			s.soil()
		}
		s.mu.Unlock()
		if known {
			return nil
		}
		s.announce()
		select {
		case <-saved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// identity says how far the ID of a generation has come.
type identity int

const (
	identityNew     identity = iota
	identityInState          // it is in a Snapshot
	identitySaved            // which was saved, or failed to be: delivery goes on without
)

// Saved says that the last Snapshot has been saved, or given up for now.
func (s *Set) Saved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blind = false
	for _, g := range s.order {
		if g.saved == identityInState {
			g.saved = identitySaved
		}
	}
	close(s.saved)
	s.saved = make(chan struct{})
}

// announce tells whoever saves that it should be at once.
func (s *Set) announce() { ring(s.changed) }
