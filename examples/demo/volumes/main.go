// Command volumes writes the ConfigMaps of a Pod manifest into directories, one for each volume of the Pod:
//
//	volumes FILE DIR
//
// So whoever runs the Pod without Kubernetes uses the same configuration files.
package main

import (
	"fmt"
	"os"

	"github.com/pod-helpers/pod-helpers/examples/podfile"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: volumes FILE DIR")
		os.Exit(2)
	}
	file, err := podfile.Read(os.Args[1])
	if err == nil {
		_, err = file.WriteVolumes(os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "volumes:", err)
		os.Exit(1)
	}
}
