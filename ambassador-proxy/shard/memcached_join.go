package shard

import (
	"errors"
	"fmt"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// oneLine relays the answer of one shard.
func oneLine(r *relay, t *slot) error {
	p := &t.parts[0]
	err := r.ready(p)
	if err == nil {
		var begun bool
		if _, begun, err = p.text(r, nil); err == nil {
			return nil
		}
		if p.fail(because(err)); begun {
			return err
		}
	}
	return r.fault(p, err)
}

// noLine drops the answer.
func noLine(r *relay, t *slot) error {
	p := &t.parts[0]
	if err := r.ready(p); err != nil {
		if isClient(err) {
			return err
		}
		return nil
	}
	if _, _, err := p.text(nil, nil); err != nil {
		p.fail(because(err))
	}
	return nil
}

// values joins the answers to a get: the values of each shard, then one END. A shard that failed makes the whole an error:
// a missing value would look like a miss.
func values(r *relay, t *slot) error {
	var failure []byte
	for i := range t.parts {
		p := &t.parts[i]
		err := r.ready(p)
		answered := false
		for l := leadOther; err == nil && l != leadEnd && !l.failed(); {
			// The error line comes after what was found, as memcached itself does it.
			var begun bool
			l, begun, err = p.text(r, func(l lead) bool { return l == leadEnd || l.failed() })
			if err != nil && begun {
				p.fail(because(err))
				return err // half a value
			}
			if err == nil && l.failed() {
				answered, err = true, errors.New("answered "+string(l))
			} else if err == nil && l != leadEnd && l != leadValue {
				p.fail(reason.UpstreamBadResponse)
				return fmt.Errorf("shard %s: malformed answer", p.name)
			}
		}
		if err == nil {
			continue
		}
		if isClient(err) {
			return err
		}
		if p.backend != nil && !answered {
			p.fail(because(err))
		}
		if failure == nil {
			failure = r.s.proto.failure(fmt.Sprintf("shard %s: %v", p.name, cause(err)))
		}
	}
	if failure == nil {
		return r.text("END\r\n")
	}
	_, err := r.Write(failure)
	return err
}

// untilNoop relays what comes before the answer to the no-op that was added.
func untilNoop(r *relay, t *slot) error {
	p := &t.parts[0]
	err := r.ready(p)
	begun := false
	for err == nil {
		var l lead
		l, _, err = p.text(r, func(l lead) bool { return l == leadNoop })
		if err == nil && l == leadNoop {
			return nil
		}
		begun = true
	}
	if p.backend != nil {
		p.fail(because(err))
	}
	if begun {
		return err
	}
	return r.fault(p, err)
}

// allOK answers OK when every shard did.
func allOK(r *relay, t *slot) error {
	answer := []byte("OK\r\n")
	for i := range t.parts {
		p := &t.parts[i]
		err := r.ready(p)
		if err == nil {
			var l lead
			if l, _, err = p.text(nil, nil); err != nil {
				p.fail(because(err))
			} else if l != leadOK {
				err = errors.New("answered " + string(l))
			}
		}
		if isClient(err) {
			return err
		}
		if err != nil {
			answer = r.s.proto.failure(fmt.Sprintf("shard %s: %v", p.name, cause(err)))
		}
	}
	_, err := r.Write(answer)
	return err
}

// noneOK is allOK without an answer.
func noneOK(r *relay, t *slot) error {
	for i := range t.parts {
		if err := noLine(r, &slot{parts: t.parts[i : i+1]}); err != nil {
			return err
		}
	}
	return nil
}
