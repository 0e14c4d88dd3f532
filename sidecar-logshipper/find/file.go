// Package find says which files there are: it expands globs, lists directories with the identity of each file, and rings a
// bell when something may have changed. It reads no log data and remembers nothing about files.
package find

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Key is what the file system knows a file by. An inode number alone is reused as soon as a file is deleted; with the birth
// time it is not. Birth is 0 where the file system does not keep it (statx(2) without STATX_BTIME).
type Key struct {
	Dev, Inode uint64
	Birth      int64 // Unix nanoseconds
}

// File is one regular file as it was at the time of the listing.
type File struct {
	Path string
	Key  Key
	Size int64
	// Modified is the time of the last write.
	Modified time.Time
	// Links is 0 once the file is deleted and lives only through open handles.
	Links uint32
	// Linked says that Path ends in a symbolic link.
	Linked bool
}

// NotAFile is the error of what exists and is no regular file.
type NotAFile struct {
	Path string
	kind uint16 // S_IFMT of its mode
}

// Error says how it can be read, where it can. A glob is no order to read a pipe: what we take from it, nobody else gets.
func (e *NotAFile) Error() string {
	switch e.kind {
	case unix.S_IFIFO:
		return fmt.Sprintf("read %s: is a named pipe, which is read only where it is named without a glob (add --path %s, or exclude it)", e.Path, e.Path)
	case unix.S_IFSOCK:
		return fmt.Sprintf("read %s: is a socket, which is listened on only where it is named (say --path unix:%s if it is to be ours, or exclude it)", e.Path, e.Path)
	}
	return fmt.Sprintf("read %s: is not a regular file (exclude it)", e.Path)
}

// Pipe says that it is a named pipe.
func (e *NotAFile) Pipe() bool { return e.kind == unix.S_IFIFO }

const statMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME

// Stat follows symbolic links: a link that is pointed elsewhere is another file. It refuses what is not a regular file.
func Stat(path string) (File, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, statMask, &st)
	linked := err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
	if linked {
		err = unix.Statx(unix.AT_FDCWD, path, 0, statMask, &st)
	}
	if err != nil {
		return File{Linked: linked}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	f, err := fromStatx(path, &st)
	f.Linked = linked
	return f, err
}

// StatOpen is Stat of an open file.
func StatOpen(f *os.File) (File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return File{}, err
	}
	var st unix.Statx_t
	var serr error
	if err := raw.Control(func(fd uintptr) { serr = unix.Statx(int(fd), "", unix.AT_EMPTY_PATH, statMask, &st) }); err != nil {
		return File{}, err
	}
	if serr != nil {
		return File{}, &os.PathError{Op: "stat", Path: f.Name(), Err: serr}
	}
	return fromStatx(f.Name(), &st)
}

func fromStatx(path string, st *unix.Statx_t) (File, error) {
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG {
		return File{}, &NotAFile{Path: path, kind: kind}
	}
	f := File{
		Path:     path,
		Key:      Key{Dev: uint64(st.Dev_major)<<32 | uint64(st.Dev_minor), Inode: st.Ino},
		Size:     int64(st.Size),
		Modified: time.Unix(st.Mtime.Sec, int64(st.Mtime.Nsec)),
		Links:    st.Nlink,
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		f.Key.Birth = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return f, nil
}

// List stats the regular files of a directory, not its subdirectories. A file that goes away meanwhile is left out.
func List(dir string) ([]File, error) {
	paths, err := Names(dir)
	if err != nil {
		return nil, err
	}
	files := make([]File, 0, len(paths))
	for _, p := range paths {
		if f, err := Stat(p); err == nil {
			files = append(files, f)
		}
	}
	return files, nil
}

// Names are the paths of what is in a directory and no directory itself, sorted.
func Names(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

// DirModified is when an entry of a directory was last made, renamed or removed; zero when it cannot be told.
func DirModified(dir string) time.Time {
	st, err := os.Stat(dir)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}
