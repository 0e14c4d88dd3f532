package source

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"
)

const (
	duEvery  = time.Minute
	duBudget = 100_000 // entries; a larger volume is not counted
)

var errBudget = errors.New("too many files")

// volume writes what a mounted path's file system has, and what the path's own files take up. A path that is not there is
// named once.
func (r *Resources) volume(ctx context.Context, out *lines, path string) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		err = &fs.PathError{Op: "statfs", Path: path, Err: err}
		if !r.missing[path] {
			r.missing[path] = true
			r.Log.Warn("volume not readable (is it mounted into the helper too?)", "error", err)
		}
		return err
	}
	delete(r.missing, path)
	put := func(name string, v float64) { out.put(name+"{path="+path+"}", &v) }
	put("volume_filesystem_size_bytes", float64(st.Blocks)*float64(st.Bsize))
	put("volume_filesystem_available_bytes", float64(st.Bavail)*float64(st.Bsize))
	use := r.du[path]
	if time.Since(use.at) > duEvery {
		use = count(ctx, path, duBudget)
		r.du[path] = use
		if !use.ok {
			r.Log.Info("volume not counted", "path", path, "files", "above 100000, unreadable, or slower than a scrape")
		}
	}
	if use.ok {
		put("volume_used_bytes", use.bytes)
		put("volume_files", use.files)
	}
	return nil
}

// foreign reports whether what cannot be read is the file system's own and not the app's: on ext4, which most volumes are, only
// root may look into lost+found.
func foreign(root, path string, err error) bool {
	return errors.Is(err, fs.ErrPermission) && path == filepath.Join(root, "lost+found")
}

// count adds up the blocks under a path as du does: hard links once, other file systems not at all.
func count(ctx context.Context, root string, budget int) diskUse {
	use := diskUse{at: time.Now()}
	linked := map[fileID]bool{}
	device, entries := uint64(0), 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if entries++; entries > budget {
			return errBudget
		}
		if foreign(root, path, err) {
			return filepath.SkipDir
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return nil // it went away since it was listed
		}
		s := info.Sys().(*syscall.Stat_t)
		if entries == 1 {
			device = uint64(s.Dev)
		} else if uint64(s.Dev) != device {
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if id := (fileID{uint64(s.Dev), s.Ino}); s.Nlink > 1 && !e.IsDir() {
			if linked[id] {
				return nil
			}
			linked[id] = true
		}
		use.files++
		use.bytes += float64(s.Blocks) * 512
		return nil
	})
	use.ok = err == nil
	return use
}
