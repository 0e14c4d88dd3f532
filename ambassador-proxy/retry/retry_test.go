package retry

import (
	"testing"
	"time"
)

func TestBudget_AllowsAFifthOfTheRequestsAndAFloor(t *testing.T) {
	now := time.Unix(1000, 0)
	b := NewBudget(now)
	for range 1000 {
		b.Request(now)
	}
	granted := 0
	for range 1000 {
		if b.Take(now) {
			granted++
		}
	}
	if granted != 200+Floor {
		t.Errorf("%d retries of 1000 requests", granted)
	}
	if b.Take(now.Add(time.Second)) != true {
		t.Error("the floor does not fill up again")
	}
	late := now.Add(11 * time.Second)
	if got := b.Tokens(late); got != Floor {
		t.Errorf("after 11 s without requests %v tokens", got)
	}
}

func TestIdempotent_IsTheMethodOrTheKey(t *testing.T) {
	if Idempotent("POST", false) || Idempotent("PATCH", false) || !Idempotent("POST", true) || !Idempotent("PUT", false) {
		t.Error("RFC 9110, 9.2.2")
	}
}
