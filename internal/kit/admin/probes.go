package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

func liveHandler(live func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := live(); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer(w, http.StatusOK, "ok")
	}
}

// readyHandler lists the failed checks, or all of them with ?verbose, in the form that Kubernetes components use.
func readyHandler(ready func() []Check) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status, verbose := http.StatusOK, r.URL.Query().Has("verbose")
		var b strings.Builder
		for _, c := range ready() {
			mark, result := "[+]", "ok"
			if !c.OK {
				status, mark, result = http.StatusServiceUnavailable, "[-]", "failed"
			}
			if verbose || !c.OK {
				fmt.Fprintf(&b, "%s%s %s", mark, c.Name, result)
				if c.Detail != "" {
					b.WriteString(": " + c.Detail)
				}
				b.WriteByte('\n')
			}
		}
		if status == http.StatusOK {
			b.WriteString("ready")
		} else {
			b.WriteString("not ready")
		}
		answer(w, status, b.String())
	}
}

func configHandler(config func() ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		text, err := config()
		if err != nil {
			answer(w, http.StatusInternalServerError, err.Error())
			return
		}
		w.Header().Set("Content-Type", "application/yaml; charset=utf-8")
		_, _ = w.Write(text)
	}
}

func statusHandler(name string, status func() Status) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		s := status()
		s.Helper = name
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(s) // the client went away: nobody to tell
	}
}
