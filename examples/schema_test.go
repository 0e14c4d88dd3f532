package examples

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// schemas are compiled once for each helper, from what its schema command prints.
var schemas sync.Map

func schemaOf(t *testing.T, helper string) *jsonschema.Schema {
	t.Helper()
	if known, ok := schemas.Load(helper); ok {
		return known.(*jsonschema.Schema)
	}
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(filepath.Join(bin, helper), "schema").Output()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(helper+".json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(helper + ".json")
	if err != nil {
		t.Fatal(err)
	}
	schemas.Store(helper, schema)
	return schema
}

// matchesSchema fails the test when a configuration file that the helper accepts is refused by its schema: an editor would
// underline what is right.
func matchesSchema(t *testing.T, helper string, config []byte) {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON(config)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	if err := schemaOf(t, helper).Validate(document); err != nil {
		t.Errorf("%s: %v\n%s", helper, err, config)
	}
}

func TestSchema_RefusesWhatTheHelperRefuses(t *testing.T) {
	for helper, config := range map[string]string{
		"sidecar-logshipper": `{"input": []}`, "ambassador-proxy": `{"listeners": {}}`, "adapter-metrics": `{"log_level": "loud"}`,
	} {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(config)))
		if err != nil {
			t.Fatal(err)
		}
		if schemaOf(t, helper).Validate(document) == nil {
			t.Errorf("the schema of %s accepts %s", helper, config)
		}
	}
}
