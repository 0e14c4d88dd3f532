package limit

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pod-helpers/pod-helpers/ambassador-proxy/reason"
)

func why(err error) reason.Reason {
	e, _ := errors.AsType[*reason.Error](err)
	if e == nil {
		return reason.OK
	}
	return e.Reason
}

func TestQueue_IsBoundedInLengthAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(1, 1, time.Second)
		if err := q.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		late := make(chan error)
		go func() { late <- q.Enter(t.Context()) }()
		synctest.Wait()
		if got := why(q.Enter(t.Context())); got != reason.QueueFull {
			t.Errorf("past the queue: %v", got)
		}
		if got := why(<-late); got != reason.QueueTimeout {
			t.Errorf("after the wait: %v", got)
		}
		go func() { late <- q.Enter(t.Context()) }()
		synctest.Wait()
		q.Leave()
		if err := <-late; err != nil {
			t.Errorf("the place was not handed on: %v", err)
		}
	})
}
