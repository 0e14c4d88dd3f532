package upstream

import (
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
)

// injected is one field that the ambassador adds: a fixed value, or a secret that may rotate.
type injected struct {
	name   string
	prefix string
	secret conf.Secret
	value  string // used when secret is empty
	user   string // Basic: user:secret is encoded
}

func injections(c *config.Upstream) []injected {
	var all []injected
	for _, name := range slices.Sorted(maps.Keys(c.Headers.Set)) {
		all = append(all, injected{name: name, value: c.Headers.Set[name]})
	}
	a := c.Auth
	if a == nil {
		return all
	}
	if a.Bearer != "" {
		all = append(all, injected{name: "Authorization", prefix: "Bearer ", secret: a.Bearer})
	}
	if a.User != "" {
		all = append(all, injected{name: "Authorization", prefix: "Basic ", secret: a.Password, user: a.User})
	}
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		all = append(all, injected{name: name, secret: a.Header[name]})
	}
	return all
}

// drops are the client's fields that are never forwarded: those that are injected, and those to remove. A '_' of the
// configuration is a '-' there, as layer7.Settings has it.
func drops(c *config.Upstream) []string {
	names := slices.Clone(c.Headers.Remove)
	for _, i := range injections(c) {
		names = append(names, i.name)
	}
	for i, name := range names {
		names[i] = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

var errBreaks = errors.New("the secret has a line break or a NUL") // a value, never written

// text is the field's value.
func (i *injected) text(secrets *conf.Secrets) (string, error) {
	if i.secret == "" {
		return i.value, nil
	}
	v, err := secrets.Get(i.secret)
	if err == nil && strings.ContainsAny(v, "\r\n\x00") {
		err = errBreaks
	}
	if err == nil && i.user != "" {
		v = base64.StdEncoding.EncodeToString([]byte(i.user + ":" + v))
	}
	return v, err
}

// AppendFields appends the lines to inject.
func (u *Upstream) AppendFields(dst []byte, r *layer7.Request) []byte {
	if u.config.Trace {
		dst = appendTrace(dst, r)
	}
	for n := range u.inject {
		i := &u.inject[n]
		v, err := i.text(u.env.Secrets)
		if err != nil {
			u.env.Log.Error("secret cannot be injected, the request goes without", "upstream", u.name, "header", i.name, "error", err)
			continue
		}
		dst = append(dst, i.name...)
		dst = append(dst, ": "...)
		dst = append(dst, i.prefix...)
		dst = append(dst, v...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// Fault is what the upstream does to a share of its requests.
func (u *Upstream) Fault() *layer7.Fault {
	f := u.config.Fault
	if f == nil {
		return nil
	}
	return &layer7.Fault{Percent: f.Percent, Delay: f.Delay.D(), Status: f.Status, Abort: f.Abort}
}
