package deliver

import (
	"testing"

	"github.com/pod-helpers/pod-helpers/internal/kit/kittest"
)

func TestMain(m *testing.M) { kittest.Main(m, nil) }
