package kit_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestHealthcheck_FindsTheHelperThoughItsFileIsBrokenNow(t *testing.T) {
	file, address := filepath.Join(t.TempDir(), "c.yaml"), kittest.FreeAddress(t)
	write(t, file, "admin_address: "+address+"\n")
	kittest.Start(t, nil, "toy", "--config", file).WaitReady(address)
	for _, mistake := range []string{"greting: unknown key", "pets: [", "log_level: loud"} {
		write(t, file, mistake+"\nadmin_address: "+address+"\n")
		check := kittest.Start(t, nil, "toy", "healthcheck", "--config", file)
		if code := check.Wait(5 * time.Second); code != 0 {
			t.Errorf("%s: exit code %d: %s", mistake, code, check.Stderr)
		}
	}
}
