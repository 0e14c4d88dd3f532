package decode

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// CSV decodes a table with a header. The path is ROW.COLUMN, rows counted from 0; labels may name columns.
func CSV(doc []byte, to Walker) error {
	return table(doc, func(r row, n int) {
		at := []byte(strconv.Itoa(n))
		for i, name := range r.names {
			leaf(to, []byte(r.cells[i]), r, at, []byte(name))
		}
	})
}

// HAProxy decodes the CSV of its statistics page or socket: frontend.PROXY.COLUMN, backend.PROXY.COLUMN and
// server.PROXY.SERVER.COLUMN. Empty cells are no values.
func HAProxy(doc []byte, to Walker) error {
	return table(bytes.TrimPrefix(doc, []byte("# ")), func(r row, _ int) {
		proxy, _ := r.Lookup(0, "pxname")
		server, _ := r.Lookup(0, "svname")
		path := [][]byte{[]byte("server"), proxy, server, nil}
		switch string(server) {
		case "FRONTEND":
			path = [][]byte{[]byte("frontend"), proxy, nil}
		case "BACKEND":
			path = [][]byte{[]byte("backend"), proxy, nil}
		}
		for i, name := range r.names {
			if r.cells[i] != "" && name != "" {
				path[len(path)-1] = []byte(name)
				leaf(to, []byte(r.cells[i]), r, path...)
			}
		}
	})
}

// row is one row beside the names of its columns.
type row struct{ names, cells []string }

// Lookup implements sample.Fields.
func (r row) Lookup(up int, name string) ([]byte, bool) {
	for i, n := range r.names {
		if up == 0 && n == name {
			return []byte(r.cells[i]), true
		}
	}
	return nil, false
}

// table calls visit with each row. A row of another length than the header ends the document.
func table(doc []byte, visit func(r row, n int)) error {
	r := csv.NewReader(bytes.NewReader(doc))
	r.TrimLeadingSpace = true
	names, err := r.Read()
	if err != nil || len(names) < 2 {
		return errForeign
	}
	for n := 0; ; n++ {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("decode CSV: %w", err)
		}
		visit(row{names, cells}, n)
	}
}
