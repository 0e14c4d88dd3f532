package decode

import "fmt"

// Jolokia decodes the reply of a Jolokia agent, which says in the document whether the request was good.
func Jolokia(doc []byte, to Walker) error {
	status := seek{name: "status"}
	if err := JSON(doc, &status); err != nil {
		return err
	}
	if s := string(status.text); s != "" && s != "200" {
		return fmt.Errorf("decode Jolokia reply: status %s (is the MBean in the url right?)", s)
	}
	return JSON(doc, to)
}
