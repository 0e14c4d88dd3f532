package decode

import "bytes"

// found is what a lookup has found in an object; no text when the object has no such scalar.
type found struct {
	name string
	text []byte
}

// Lookup implements sample.Fields by scanning the object, once for each name.
func (d *jsonWalk) Lookup(up int, name string) ([]byte, bool) {
	i := len(d.frames) - 1 - up
	if i < 0 || d.doc[d.frames[i].start-1] != '{' {
		return nil, false
	}
	f := &d.frames[i]
	for j := range f.found {
		if f.found[j].name == name {
			return f.found[j].text, f.found[j].text != nil
		}
	}
	text := seek(d.doc[f.start:], name)
	f.found = append(f.found, found{name, text})
	return text, text != nil
}

// seek finds a scalar among the members of an object whose bracket is behind it. Nothing is checked: what is broken in the
// document is the walk's error. It jumps over strings, which is where the bytes are.
func seek(doc []byte, name string) []byte {
	depth := 0
	for key := true; len(doc) > 0; {
		switch c := doc[0]; c {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return nil
			}
		case ',':
			key = depth == 0
		case '"':
			text, rest := quotedText(doc[1:])
			if doc = rest; !key || depth > 0 {
				continue
			}
			if key = false; sameText(text, name) {
				return scalar(doc)
			}
			continue
		}
		doc = doc[1:]
	}
	return nil
}

// quotedText cuts a string at its closing quote.
func quotedText(doc []byte) (text, rest []byte) {
	for at := 0; ; at++ {
		n := bytes.IndexByte(doc[at:], '"')
		if n < 0 {
			return doc, nil
		}
		at += n
		before := at
		for before > 0 && doc[before-1] == '\\' {
			before--
		}
		if (at-before)%2 == 0 { // an even number of backslashes escapes itself
			return doc[:at], doc[at+1:]
		}
	}
}

// sameText compares a key as it stands in a document.
func sameText(key []byte, name string) bool {
	return string(key) == name || bytes.IndexByte(key, '\\') >= 0 && string(unescape(key)) == name
}

// scalar is the text of the value behind a key and before a comma or bracket; nil when it is none.
func scalar(doc []byte) []byte {
	doc = bytes.TrimLeft(doc, ": \t\r\n")
	if len(doc) == 0 || doc[0] == '{' || doc[0] == '[' || bytes.HasPrefix(doc, []byte("null")) {
		return nil
	}
	if doc[0] != '"' {
		if end := bytes.IndexAny(doc, ",}] \t\r\n"); end >= 0 {
			doc = doc[:end]
		}
		return doc
	}
	text, _ := quotedText(doc[1:])
	if bytes.IndexByte(text, '\\') >= 0 {
		return unescape(text)
	}
	return text[:len(text):len(text)]
}
