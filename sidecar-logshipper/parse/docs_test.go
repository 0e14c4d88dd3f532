package parse

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestReadme_HasASectionForEachFormat(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	format, _ := reflect.TypeFor[Config]().FieldByName("Format")
	for name := range strings.SplitSeq(format.Tag.Get("enum"), ",") {
		if !strings.Contains(string(readme), "\n#### Format `"+name+"`\n") {
			t.Errorf("README.md has no section \"#### Format `%s`\"", name)
		}
	}
}

func TestZone_ANameThatNoDatabaseKnowsSaysWhatToDo(t *testing.T) {
	if _, err := zone("Europe/Nowhere"); err == nil || !strings.Contains(err.Error(), "ZONEINFO") {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"", "UTC", "Local", "+02:00", "-11:30"} {
		if _, err := zone(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
