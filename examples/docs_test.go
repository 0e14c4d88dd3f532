package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents of this module and of the folders beside it that speak about its files.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../*.md", "../*/*.md", "../*/deploy/*.md", "*/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	if len(all) < 20 {
		t.Fatalf("found only %v", all)
	}
	return all
}

func TestDocuments_LinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]*))?\)`)
	for _, document := range documents(t) {
		text := read(t, document)
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			target := document
			if match[1] != "" {
				target = filepath.Join(filepath.Dir(document), match[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", document, err)
				continue
			}
			if match[2] != "" && !slices.Contains(anchors(read(t, target)), match[2]) {
				t.Errorf("%s: %s has no heading for #%s", document, target, match[2])
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anchors are what GitHub makes of a page's headings.
func anchors(text string) (all []string) {
	for _, match := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(match[1]), "")
		all = append(all, strings.ReplaceAll(kept, " ", "-"))
	}
	return all
}

func TestDocsIndex_ListsEveryPage(t *testing.T) {
	index := read(t, "../docs/README.md")
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) < 9 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range files {
		if name := filepath.Base(file); name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("%s is not in the index", name)
		}
	}
}

func TestE2EREADME_HasEveryTestAndNoOther(t *testing.T) {
	files, err := filepath.Glob("e2e/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %v, %v", files, err)
	}
	var tests []string
	for _, file := range files {
		for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(t `).FindAllStringSubmatch(read(t, file), -1) {
			tests = append(tests, match[1])
		}
	}
	page := read(t, "e2e/README.md")
	named := regexp.MustCompile(`Test\w+`).FindAllString(page, -1)
	for _, name := range tests {
		if !slices.Contains(named, name) {
			t.Errorf("the page lacks %s", name)
		}
	}
	for _, name := range named {
		if !slices.Contains(tests, name) {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestDocuments_NameOnlyMakeTargetsThatExist(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile("(?:`|^|=\\S+ )make ([a-z0-9-]+)(?:[^/a-z0-9-]|$)")
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
