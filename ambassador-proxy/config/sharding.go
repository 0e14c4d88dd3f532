package config

import (
	"fmt"
	"slices"

	"github.com/pod-helpers/pod-helpers/internal/kit/conf"
)

// validateSharding checks what is only for upstreams whose requests are spread by key.
func (u *Upstream) validateSharding(at string, t Target, p *conf.Problems) {
	if !t.Sharded() {
		if u.Hash != "" || u.HashTag != "" {
			p.Add(at+".hash", "is for redis and memcached upstreams only", "routes have hash_by")
		}
		return
	}
	if u.Balance != "" && u.Balance != "ketama" {
		p.Add(at+".balance", fmt.Sprintf("%q does not send a key to the same shard each time", u.Balance), "leave it out, or write ketama")
	}
	hashes := []string{"", "fnv1a_64", "fnv1a_32", "fnv1_64", "fnv1_32", "md5", "crc32a", "one_at_a_time"}
	if !slices.Contains(hashes, u.Hash) {
		p.Add(at+".hash", fmt.Sprintf("unknown hash %q", u.Hash), "did you mean "+conf.Nearest(u.Hash, hashes[1:])+"?")
	}
	if tag := u.HashTag; tag != "" && tag != "off" && len(tag) != 2 {
		p.Add(at+".hash_tag", fmt.Sprintf("%q is neither two characters nor off", tag), "write {} to hash only what stands between braces")
	}
	if u.Auth != nil && (u.Auth.Bearer != "" || len(u.Auth.Header) > 0) {
		p.Add(at+".auth", "has HTTP credentials", "write password, and user when it is not the default one")
	}
}
