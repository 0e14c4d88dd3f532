package source

import (
	"strings"
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestHTTP_AnErrorNamesTheServerAndNotTheQueryWithItsToken(t *testing.T) {
	address := "http://" + kittest.FreeAddress(t) + "/stats"
	h, err := NewHTTP(HTTPOptions{URL: address + "?token=hidden", Limit: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Fetch(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), address) || strings.Contains(err.Error(), "hidden") || Reason(err) != "absent" {
		t.Errorf("%s: %v", Reason(err), err)
	}
}
