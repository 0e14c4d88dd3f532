package upstream

import (
	"slices"
	"strings"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/health"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
)

// freshWait is how long another try waits for DNS to name another endpoint.
const freshWait = 100 * time.Millisecond

// refused tells whether all endpoints were tried, the last one without a connection: its addresses may be those of before a
// rolling restart.
func (s *set) refused(tried []layer7.Endpoint) bool {
	if len(tried) == 0 || !tried[len(tried)-1].(*Endpoint).refused.Load() {
		return false
	}
	for _, e := range s.all {
		if !slices.Contains(tried, layer7.Endpoint(e)) {
			return false
		}
	}
	return true
}

// rival is the address of a well endpoint of the other family than address has; "" when there is none that a request could be
// tried on.
func (u *Upstream) rival(address string) string {
	if u.target.Sharded() || u.settings.Tries == 1 {
		return ""
	}
	six := strings.HasPrefix(address, "[")
	for _, e := range u.Endpoints() {
		if strings.HasPrefix(e.addr.Addr, "[") != six && e.State() == health.Healthy {
			return e.addr.Addr
		}
	}
	return ""
}
