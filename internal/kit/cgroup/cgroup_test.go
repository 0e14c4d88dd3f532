package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryLimit_ReadsBothVersions(t *testing.T) {
	for _, row := range []struct {
		name, file, content string
		want                int64
	}{
		{"v2", "sys/fs/cgroup/memory.max", "67108864\n", 64 << 20},
		{"v2 without a limit", "sys/fs/cgroup/memory.max", "max\n", 0},
		{"v1", "sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n", 64 << 20},
		{"v1 without a limit", "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n", 0},
		{"neither", "elsewhere", "1", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			root := t.TempDir()
			file := filepath.Join(root, row.file)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(row.content), 0o644); err != nil {
				t.Fatal(err)
			}
			if got, ok := memoryLimit(root); got != row.want || ok != (row.want > 0) {
				t.Errorf("%d %v, want %d", got, ok, row.want)
			}
		})
	}
}
