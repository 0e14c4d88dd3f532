package forward

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/upstream"
)

// destination is the upstream of plain requests to one host and port, and its only endpoint. It is tried once: dialling has
// gone through all of its addresses, and a reused connection that is dead is replaced anyway.
type destination struct {
	settings layer7.Settings
	refusal  error // not nil: nothing goes there
	dial     func(ctx context.Context, destination string) (net.Conn, error)
	pool     *upstream.Pool
	dialled  atomic.Pointer[string] // the address that was connected to last
}

func newDestination(name string, dial func(context.Context, string) (net.Conn, error)) *destination {
	return &destination{settings: layer7.Settings{Name: name, Tries: 1}, dial: dial, pool: upstream.NewPool()}
}

// refused is where requests go that are not for a proxy.
func refused(err error) *destination {
	return &destination{settings: layer7.Settings{Name: "-", Tries: 1}, refusal: err}
}

// Settings, Admit, Leave, Pick, Retry and AppendFields are layer7.Upstream.
func (d *destination) Settings() *layer7.Settings  { return &d.settings }
func (d *destination) Admit(context.Context) error { return nil }
func (d *destination) Leave()                      {}

func (d *destination) Pick(context.Context, layer7.Pick) (layer7.Endpoint, error) {
	if d.refusal != nil {
		return nil, d.refusal
	}
	return d, nil
}

func (d *destination) Retry(reason.Reason, int) (time.Duration, bool)    { return 0, false }
func (d *destination) AppendFields(dst []byte, _ *layer7.Request) []byte { return dst }

// Address, Acquire, Release and Report are layer7.Endpoint.
func (d *destination) Address() string {
	if a := d.dialled.Load(); a != nil {
		return *a
	}
	return d.settings.Name
}

func (d *destination) Acquire(ctx context.Context, now time.Time, fresh bool) (*layer7.Conn, error) {
	if !fresh {
		if c := d.pool.Get(now); c != nil {
			c.Reused = true
			return c, nil
		}
	}
	raw, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	c := layer7.NewConn(raw)
	d.pool.Add(c, time.Now())
	return c, nil
}

func (d *destination) connect(ctx context.Context) (net.Conn, error) {
	c, err := d.dial(ctx, d.settings.Name)
	if err == nil {
		at := c.RemoteAddr().String()
		d.dialled.Store(&at)
	}
	return c, err
}

func (d *destination) Release(c *layer7.Conn, reusable bool, keepAlive time.Duration) {
	d.pool.Put(c, reusable, keepAlive, c.Since)
}

func (d *destination) Report(o layer7.Outcome) {
	if o.StaleReuse {
		d.pool.Died()
	}
}
