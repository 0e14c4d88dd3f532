package kittest

import "testing"

func TestFreeAddress_IsGivenToOneOnly(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		if a := FreeAddress(t); seen[a] {
			t.Fatalf("%s was given twice", a)
		} else {
			seen[a] = true
		}
	}
}
