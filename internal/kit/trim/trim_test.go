package trim

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

const smaps = `00400000-00984000 r-xp 00000000 fe:00 4242                               /app/helper
Size:               5648 kB
Anonymous:             0 kB
00984000-00f2e000 r--p 00584000 fe:00 4242                               /app/helper
Anonymous:             0 kB
00f2e000-00f30000 r--p 00b2e000 fe:00 4242                               /app/helper
Anonymous:             8 kB
00f30000-00fcd000 rw-p 00b30000 fe:00 4242                               /app/helper
Anonymous:             0 kB
00fcd000-03017000 rw-p 00000000 00:00 0
Anonymous:             0 kB
7f0000000000-7f0000001000 r--p 00000000 fe:00 77                         /other/app/helper
Anonymous:             0 kB
7fff00000000-7fff00001000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
`

func TestClean_ListsOnlyWhatIsInTheFileUnchanged(t *testing.T) {
	got := clean(strings.NewReader(smaps), "/app/helper")
	if want := []mapping{{0x400000, 0x984000}, {0x984000, 0xf2e000}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestProgram_LeavesAProcessThatRunsOn(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(clean(f, executable)) == 0 {
		t.Error("nothing of the program may be taken out")
	}
	for range 10 {
		Program()
		if got := strings.ToUpper("still here"); got != "STILL HERE" {
			t.Fatal(got)
		}
	}
	Idle()
}
