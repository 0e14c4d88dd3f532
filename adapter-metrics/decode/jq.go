package decode

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/itchyny/gojq"
)

// jqDeadline is for one document. A program that runs longer would hold up the scrape.
const jqDeadline = 2 * time.Second

// JQ is the decoder of JSON documents that a jq program reshapes first; it ends with its context, too. Each of the program's
// results is walked as a document. It costs a tree of the document, which JSON does without.
func JQ(program string) (func(ctx context.Context, doc []byte, to Walker) error, error) {
	query, err := gojq.Parse(program)
	if err != nil {
		return nil, fmt.Errorf("parse jq program: %w", err)
	}
	code, err := gojq.Compile(query)
	if err != nil {
		return nil, fmt.Errorf("compile jq program: %w", err)
	}
	return func(ctx context.Context, doc []byte, to Walker) error {
		var in any
		doc = withoutMark(doc)
		d := json.NewDecoder(bytes.NewReader(doc))
		d.UseNumber() // so that long numbers keep their digits
		if err := d.Decode(&in); err != nil {
			return fmt.Errorf("decode JSON: %w", err)
		}
		if len(bytes.Trim(doc[d.InputOffset():], " \t\r\n")) > 0 {
			return fmt.Errorf("decode JSON: more after the document at offset %d", d.InputOffset())
		}
		ctx, cancel := context.WithTimeout(ctx, jqDeadline)
		defer cancel()
		results := code.RunWithContext(ctx, in)
		for {
			v, ok := results.Next()
			if !ok {
				return nil
			}
			if err, failed := v.(error); failed {
				return fmt.Errorf("run jq program: %w", err)
			}
			text, err := gojq.Marshal(v)
			if err != nil {
				return fmt.Errorf("run jq program: %w", err)
			}
			if err := JSON(text, to); err != nil {
				return err
			}
		}
	}, nil
}
