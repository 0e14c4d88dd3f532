package decode

import (
	"bytes"
	"strconv"
)

// Apache decodes server-status?auto: lines of "key: value", and the scoreboard as the number of workers in each
// state, such as scoreboard.reply.
func Apache(doc []byte, to Walker) error {
	found := false
	all := around{doc, ':'}
	for line := range bytes.Lines(doc) {
		key, value, ok := bytes.Cut(line, []byte(": "))
		if !ok {
			continue
		}
		found = true
		if value = bytes.TrimSpace(value); string(key) == "Scoreboard" {
			scoreboard(value, to)
			continue
		}
		leaf(to, value, all, key)
	}
	if !found {
		return errForeign
	}
	return nil
}

// scoreboard counts the letters that mod_status documents.
func scoreboard(board []byte, to Walker) {
	for _, s := range [...]struct {
		letter byte
		name   string
	}{
		{'_', "idle"}, {'S', "startup"}, {'R', "read"}, {'W', "reply"}, {'K', "keepalive"}, {'D', "dns"},
		{'C', "closing"}, {'L', "logging"}, {'G', "graceful_stop"}, {'I', "idle_cleanup"}, {'.', "open_slot"},
	} {
		n := strconv.Itoa(bytes.Count(board, []byte{s.letter}))
		leaf(to, []byte(n), nil, []byte("scoreboard"), []byte(s.name))
	}
}
