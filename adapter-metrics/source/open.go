package source

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

var errIrregular = errors.New("is no regular file")

// openRegular opens a file for reading. Everything else is refused: opening a named pipe would wait for somebody who writes, and
// reading it for what is written.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: errIrregular}
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}
