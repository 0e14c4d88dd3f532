package admin

import (
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"
)

// maxProfile keeps a CPU profile within the server's write timeout.
const maxProfile = writeTimeout - 5*time.Second

// EnableDebug serves /debug/pprof/NAME to loopback: profile (CPU, ?seconds=10) and the runtime's own, heap or goroutine for
// instance. net/http/pprof would do the same and more, for half a megabyte of every image.
func (s *Server) EnableDebug() {
	s.HandleLoopback("GET /debug/pprof/profile", http.HandlerFunc(cpuProfile))
	s.HandleLoopback("GET /debug/pprof/{name...}", http.HandlerFunc(runtimeProfile))
}

func cpuProfile(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.FormValue("seconds"))
	if err != nil || seconds < 1 {
		seconds = 10
	}
	if err := pprof.StartCPUProfile(w); err != nil {
		answer(w, http.StatusConflict, err.Error())
		return
	}
	defer pprof.StopCPUProfile()
	select {
	case <-time.After(min(time.Duration(seconds)*time.Second, maxProfile)):
	case <-r.Context().Done():
	}
}

func runtimeProfile(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.PathValue("name"))
	if p == nil {
		answer(w, http.StatusNotFound, "no such profile: heap, allocs, goroutine, block, mutex, threadcreate, profile")
		return
	}
	debug, _ := strconv.Atoi(r.FormValue("debug"))
	_ = p.WriteTo(w, debug) // the client went away: nobody to tell
}
