package layer7

import "strconv"

// inWords says what r's reason means to a person: 502 upstream api (10.0.0.7:8443): connection refused, 3 tries. set is of
// the upstream; nil when the request got no further than the parser or the routes.
func inWords(r *Record, set *Settings) string {
	text := strconv.Itoa(r.Reason.Status()) + " "
	if set != nil && !r.Reason.Client() {
		text += "upstream " + set.Name
		if r.Endpoint != nil {
			text += " (" + r.Endpoint.Address() + ")"
		}
		text += ": "
	}
	text += r.Reason.Text()
	if r.Detail != "" {
		text += ": " + r.Detail
	}
	if r.Tries > 1 {
		text += ", " + strconv.Itoa(r.Tries) + " tries"
	}
	return text + "\n"
}
