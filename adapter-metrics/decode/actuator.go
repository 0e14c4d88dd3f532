package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/pod-helpers/pod-helpers/adapter-metrics/sample"
)

// Actuator decodes documents of Spring Boot's /actuator/metrics/NAME, one after the other. The path is the name,
// split on dots, and the statistic: jvm.memory.used.value, http.server.requests.count. Tags that the request
// selected are not in a document, so a document is the sum over all tags.
func Actuator(doc []byte, to Walker) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	for found := false; ; found = true {
		var m struct {
			Name         string `json:"name"`
			BaseUnit     string `json:"baseUnit"`
			Measurements []struct {
				Statistic string      `json:"statistic"`
				Value     json.Number `json:"value"`
			} `json:"measurements"`
		}
		err := d.Decode(&m)
		switch {
		case errors.Is(err, io.EOF) && found:
			return nil
		case err != nil:
			return fmt.Errorf("decode actuator document: %w", err)
		case m.Name == "":
			return errForeign
		}
		path := bytes.Split([]byte(m.Name), []byte{'.'})
		for _, v := range m.Measurements {
			statistic := bytes.ToLower([]byte(v.Statistic))
			leaf(to, []byte(v.Value), unitField(m.BaseUnit), append(path[:len(path):len(path)], statistic)...)
		}
	}
}

// unitField lets a rule name the unit: labels: {unit: .baseUnit}.
type unitField string

// Lookup implements sample.Fields.
func (u unitField) Lookup(up int, name string) ([]byte, bool) {
	return []byte(u), up == 0 && name == "baseUnit" && u != ""
}

var _ sample.Fields = unitField("")
