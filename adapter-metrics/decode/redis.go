package decode

import "bytes"

// Redis decodes the reply to INFO: the path is section.key, in lower case for the section. A value such as
// keys=1,expires=0 is a level of its own: keyspace.db0.keys. Labels may name a key of any section.
func Redis(doc []byte, to Walker) error {
	section := []byte("server")
	all, found := around{doc, ':'}, false
	for line := range bytes.Lines(doc) {
		line = bytes.TrimRight(line, "\r\n")
		if name, ok := bytes.CutPrefix(line, []byte("# ")); ok {
			section = bytes.ToLower(name)
			continue
		}
		key, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || len(key) == 0 {
			continue // the framing of the reply, and empty lines
		}
		found = true
		if !bytes.Contains(value, []byte{'='}) {
			leaf(to, value, all, section, key)
			continue
		}
		fields := pairs(value)
		for part := range bytes.SplitSeq(value, []byte{','}) {
			if name, v, ok := bytes.Cut(part, []byte{'='}); ok {
				leaf(to, v, fields, section, key, name)
			}
		}
	}
	if !found {
		return errForeign
	}
	return nil
}

// pairs are the values in a=1,b=2.
type pairs []byte

// Lookup implements sample.Fields.
func (p pairs) Lookup(up int, name string) ([]byte, bool) {
	if up > 0 {
		return nil, false
	}
	for part := range bytes.SplitSeq(p, []byte{','}) {
		if key, v, ok := bytes.Cut(part, []byte{'='}); ok && string(key) == name {
			return v, true
		}
	}
	return nil, false
}
