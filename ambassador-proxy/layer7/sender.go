package layer7

import "net/http"

// Sender is an Endpoint that net/http requests can be sent to. The upstreams of the net/http engine have such endpoints.
type Sender interface {
	Endpoint
	// RoundTrip sends r to the endpoint, whatever its URL says. With fresh it uses a new connection.
	RoundTrip(r *http.Request, fresh bool) (*http.Response, Sent, error)
}

// Sent is how far a request got.
type Sent struct {
	Reused  bool // the connection had carried a request before
	Dial    bool // there was no connection
	Nothing bool // the upstream is known to have seen nothing of it: any method may be sent again
}
