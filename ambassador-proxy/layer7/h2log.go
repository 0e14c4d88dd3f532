package layer7

import (
	"log"
	"log/slog"
	"strings"
)

// errorLog takes what net/http says of connections: what a client did wrong is for debugging only, a panic is ours.
func errorLog(to *slog.Logger) *log.Logger {
	if to == nil {
		to = slog.New(slog.DiscardHandler)
	}
	return log.New(lines{to}, "", 0)
}

type lines struct{ to *slog.Logger }

func (l lines) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.Contains(text, "panic") {
		l.to.Error("request handler failed", "error", text)
	} else {
		l.to.Debug("client connection", "error", text)
	}
	return len(line), nil
}
