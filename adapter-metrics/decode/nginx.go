package decode

import "bytes"

// Nginx decodes stub_status: active, reading, writing, waiting, and what the line "server accepts handled requests"
// names, with the numbers below it. Tengine adds request_time there, other builds other columns: names come
// from the document, not from here.
func Nginx(doc []byte, to Walker) error {
	var names [][]byte
	found := false
	for line := range bytes.Lines(doc) {
		words := bytes.Fields(line)
		if len(words) == 0 {
			continue
		}
		if string(words[0]) == "server" {
			names = words[1:]
			continue
		}
		if _, ok := textNumber(words[0]); ok {
			for i := range min(len(names), len(words)) {
				leaf(to, words[i], nil, names[i])
			}
			continue
		}
		for i := 0; i+1 < len(words); i++ {
			key, ok := bytes.CutSuffix(words[i], []byte{':'})
			if !ok {
				continue
			}
			if i > 0 && string(key) == "connections" {
				key = words[i-1] // Active connections: 1
			}
			leaf(to, words[i+1], nil, bytes.ToLower(key))
			found = true
		}
	}
	if !found || names == nil {
		return errForeign
	}
	return nil
}
