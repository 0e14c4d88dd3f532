package shard

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

// head reads the first line of each part's reply: without its CR LF, or an error.
func (r *relay) head(p *part) ([]byte, error) {
	if err := r.ready(p); err != nil {
		return nil, err
	}
	line, err := p.line()
	if err != nil {
		p.fail(because(err))
		return nil, cause(err)
	}
	if line = line[:len(line)-2]; len(line) == 0 {
		p.fail(reason.UpstreamBadResponse)
		return nil, errors.New("malformed answer")
	}
	if line[0] == '-' {
		return nil, fmt.Errorf("%s", line[1:])
	}
	return line, nil
}

// problem tells a reply that is an error of Redis from a shard that did not answer.
func (r *relay) problem(p *part, err error) []byte {
	if p.backend != nil && !p.broken.Load() {
		return fmt.Appendf(nil, "-%v\r\n", err)
	}
	return redisError(fmt.Sprintf("shard %s: %v", p.name, err))
}

// merged joins the arrays of MGET in the order of the keys. The keys of a shard that failed get its error each.
func merged(r *relay, t *slot) error {
	failures := make([][]byte, len(t.parts))
	if _, err := fmt.Fprintf(r, "*%d\r\n", len(t.order)); err != nil {
		return err
	}
	begun := make([]bool, len(t.parts))
	for _, i := range t.order {
		p := &t.parts[i]
		if !begun[i] {
			begun[i] = true
			line, err := r.head(p)
			if err == nil && string(line) != "*"+strconv.Itoa(p.keys) {
				p.fail(reason.UpstreamBadResponse)
				err = errors.New("malformed answer")
			}
			if err != nil {
				if isClient(err) {
					return err
				}
				failures[i] = r.problem(p, err)
			}
		}
		if failures[i] != nil {
			if _, err := r.Write(failures[i]); err != nil {
				return err
			}
			continue
		}
		half, err := p.reply(r)
		if err != nil {
			if p.fail(because(err)); half {
				return err
			}
			failures[i] = r.problem(p, cause(err))
			if _, err := r.Write(failures[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func isClient(err error) bool { _, ok := err.(*clientError); return ok }

// summed adds the numbers of DEL, EXISTS, UNLINK, TOUCH and DBSIZE.
func summed(r *relay, t *slot) error {
	var sum int64
	return r.each(t, func(line []byte) error {
		n, err := strconv.ParseInt(string(bytes.TrimPrefix(line, []byte(":"))), 10, 64)
		sum += n
		return err
	}, func() []byte { return fmt.Appendf(nil, ":%d\r\n", sum) })
}

// agreed answers OK when every part did.
func agreed(r *relay, t *slot) error {
	return r.each(t, func(line []byte) error {
		if line[0] != '+' {
			return fmt.Errorf("malformed answer")
		}
		return nil
	}, func() []byte { return []byte("+OK\r\n") })
}

// each reads the one-line reply of every part. A failure of any is the answer; it says how much was done.
func (r *relay) each(t *slot, one func([]byte) error, good func() []byte) error {
	var answer []byte
	keys, done, failed := 0, 0, 0
	for i := range t.parts {
		p := &t.parts[i]
		keys += p.keys
		line, err := r.head(p)
		if isClient(err) {
			return err
		}
		if err == nil {
			if err = one(line); err != nil {
				p.fail(reason.UpstreamBadResponse)
			}
		}
		if err == nil {
			done += p.keys
			continue
		}
		if failed++; answer == nil {
			answer = r.problem(p, err)
		}
	}
	r.refused = failed > 0
	switch {
	case failed == 0:
		answer = good()
	case done > 0:
		answer = fmt.Appendf(bytes.TrimSuffix(answer, []byte("\r\n")), " (%d of %d done)\r\n", done, keys)
	}
	_, err := r.Write(answer)
	return err
}

// first relays the reply of the first part that gives one, and drops the others.
func first(r *relay, t *slot) error {
	answered := false
	for i := range t.parts {
		p := &t.parts[i]
		if err := r.ready(p); err != nil {
			if isClient(err) {
				return err
			}
			continue
		}
		var half bool
		var err error
		if answered {
			_, err = p.reply(nil)
		} else {
			r.refused = p.unread()[0] == '-'
			half, err = p.reply(r)
			answered = err == nil
		}
		if err != nil {
			if p.fail(because(err)); half && !answered {
				return err
			}
		}
	}
	if answered {
		return nil
	}
	r.refused = true
	return r.fault(&t.parts[0], fmt.Errorf("no shard answered"))
}
