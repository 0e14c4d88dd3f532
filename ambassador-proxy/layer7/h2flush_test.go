package layer7

import (
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
)

// flushes counts.
type flushes struct {
	*httptest.ResponseRecorder
	n int
}

func (f *flushes) FlushError() error { f.n++; return nil }

func TestFlushing_FlushesWhenTheNextReadHasToWaitAndNotBefore(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // with more, who flushes may be quicker than who reads
	synctest.Test(t, func(t *testing.T) {
		w := &flushes{ResponseRecorder: httptest.NewRecorder()}
		f := &flushing{w: w, waits: true}
		for range 3 { // all is there
			f.reads()
			_, _ = f.Write([]byte("message"))
		}
		if w.n != 0 {
			t.Errorf("flushed %d times while there was more to read", w.n)
		}
		f.reads()
		synctest.Wait() // nothing comes
		if w.n != 1 {
			t.Errorf("flushed %d times while nothing came", w.n)
		}
		_, _ = f.Write([]byte("message"))
		f.reads()
		f.end()
		synctest.Wait()
		if w.n != 1 {
			t.Errorf("flushed after the end")
		}
	})
}
