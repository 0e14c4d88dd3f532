package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents of this module and of the folders beside it that speak about its files.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "*/*.md", "../kind/*.md", "../*/deploy/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	if len(all) < 6 {
		t.Fatalf("found only %v", all)
	}
	return all
}

func TestDocuments_LinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)`)
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), match[1])); err != nil {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
}

func TestDocuments_NameOnlyMakeTargetsThatExist(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile("(?:`|^|=\\S+ )make ([a-z0-9-]+)")
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			for _, match := range target.FindAllStringSubmatch(line, -1) {
				if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(match[1]) + `:`).Match(makefile) {
					t.Errorf("%s: make has no target %s", document, match[1])
				}
			}
		}
	}
}

func TestPodsREADME_HasARowForEveryManifest(t *testing.T) {
	text, err := os.ReadFile("pods/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range manifests(t) {
		if !strings.Contains(string(text), "["+"`"+filepath.Base(file)+"`"+"]") {
			t.Errorf("no row for %s", file)
		}
	}
}
