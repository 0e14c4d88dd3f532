// Package flags gives the demo programs their flags, each of which can also be set by an environment variable.
package flags

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

// Parse reads args into fs. A flag that args do not set is taken from the variable DEMO_ + its name in upper case
// with dashes as underscores, when that variable is set.
func Parse(fs *flag.FlagSet, args []string) error {
	var bad error
	fs.VisitAll(func(f *flag.Flag) {
		name := "DEMO_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := os.LookupEnv(name); ok && bad == nil {
			if err := f.Value.Set(value); err != nil {
				bad = fmt.Errorf("read %s=%q: %w", name, value, err)
			}
		}
	})
	if bad != nil {
		return bad
	}
	return fs.Parse(args)
}
