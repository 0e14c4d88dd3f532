package observe

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/config"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/layer7"
	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

func record(why reason.Reason) *layer7.Record {
	return &layer7.Record{Method: []byte("GET"), Host: []byte("shop"), Target: []byte("/a?b"), Status: why.Status(), Reason: why,
		Detail: "because", Tries: 2, Duration: 1500 * time.Millisecond, BytesIn: 3, BytesOut: 4}
}

func TestAccessLog_ALineIsJSONWithEveryFact(t *testing.T) {
	var b bytes.Buffer
	NewAccessLog(&b, config.AccessLog{Format: "json"}).request("8080", "shop", record(reason.UpstreamReset))
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, b.Bytes())
	}
	for key, want := range map[string]any{"listener": "8080", "method": "GET", "host": "shop", "target": "/a?b", "status": 502.0,
		"reason": "upstream_reset", "detail": "because", "upstream": "shop", "tries": 2.0, "seconds": 1.5, "bytes_in": 3.0, "bytes_out": 4.0} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
}

func TestAccessLog_SamplesWhatWentWellAndKeepsEveryFailure(t *testing.T) {
	var b bytes.Buffer
	a := NewAccessLog(&b, config.AccessLog{Format: "text", Sample: 0.1})
	for range 1000 {
		a.request("8080", "shop", record(reason.OK))
		a.request("8080", "shop", record(reason.QueueFull))
	}
	good, bad := strings.Count(b.String(), "reason=ok"), strings.Count(b.String(), "reason=queue_full")
	if bad != 1000 || good < 40 || good > 200 {
		t.Errorf("%d of 1000 good ones, %d of 1000 failures", good, bad)
	}
}

func TestAccessLog_IsOffByDefault(t *testing.T) {
	if NewAccessLog(&bytes.Buffer{}, config.AccessLog{}) != nil {
		t.Error("it is on")
	}
}
