package route

import "testing"

func TestPathRules_MatchWholeSegmentsAndNeverWhatIsAmbiguous(t *testing.T) {
	for _, row := range []struct {
		path, prefix string
		want         bool
	}{
		{"/a", "/a", true}, {"/a/b", "/a", true}, {"/ab", "/a", false}, {"/a/b", "/a/", true}, {"/a", "/a/", false},
		{"/a/../b", "/a", false}, {"/a/%2e%2e/b", "/a", false}, {"/a%2Fb", "/a", false}, {"/a/..", "/a", false}, {"/b", "/a", false},
	} {
		if got := underPath([]byte(row.path), row.prefix); got != row.want {
			t.Errorf("%s under %s: %v", row.path, row.prefix, got)
		}
	}
}

func TestHostRules_IgnoreCaseAndPort(t *testing.T) {
	for _, row := range []struct {
		host, pattern string
		want          bool
	}{
		{"API.example.com:8080", "api.example.com", true}, {"a.example.com", "*.example.com", true},
		{"example.com", "*.example.com", false}, {"[::1]", "[::1]", true}, {"evil-example.com", "*.example.com", false},
	} {
		if got := hostMatches([]byte(row.host), row.pattern); got != row.want {
			t.Errorf("%s for %s: %v", row.host, row.pattern, got)
		}
	}
}
