package expose_test

import (
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestMain(m *testing.M) {
	kittest.RegisterUpdate()
	kittest.Main(m, nil)
}
