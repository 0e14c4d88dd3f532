package retry

import (
	"testing"
	"time"
)

func TestBudget_AllowsAFifthOfTheRequestsAndAFloor(t *testing.T) {
	now := time.Unix(1000, 0)
	b := NewBudget(now)
	for range 1000 {
		b.Count()
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
	b.Count()
	b.Advance(now.Add(2 * time.Second))
	if got := b.recent[b.slot%slots]; got != 0 {
		t.Errorf("%v requests in a second that has just begun", got)
	}
	late := now.Add(12 * time.Second)
	if got := b.Tokens(late); got != Floor {
		t.Errorf("after 10 s without requests %v tokens", got)
	}
}

func TestIdempotent_IsTheMethodOrTheKey(t *testing.T) {
	if Idempotent("POST", false) || Idempotent("PATCH", false) || !Idempotent("POST", true) || !Idempotent("PUT", false) {
		t.Error("RFC 9110, 9.2.2")
	}
}
