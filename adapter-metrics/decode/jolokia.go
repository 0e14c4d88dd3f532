package decode

import (
	"bytes"
	"fmt"
)

// Jolokia decodes the reply of a Jolokia agent, which says in the document whether the request was good.
func Jolokia(doc []byte, to Walker) error {
	body, ok := bytes.CutPrefix(bytes.TrimSpace(doc), []byte("{"))
	if s := string(seek(body, "status")); ok && s != "" && s != "200" {
		return fmt.Errorf("decode Jolokia reply: status %s (is the MBean in the url right?)", s)
	}
	return JSON(doc, to)
}
