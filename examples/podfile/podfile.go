// Package podfile reads the example manifests, as far as running a Pod without Kubernetes needs it: containers in
// their starting order, their arguments, variables and mounts, and the files of the ConfigMaps.
package podfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v4"
)

// File is what one manifest file holds.
type File struct {
	Pod        Pod
	ConfigMaps map[string]map[string]string // name → file → text
}

// Pod is a Pod, or the Pod template of a workload.
type Pod struct {
	Name           string
	InitContainers []Container `yaml:"initContainers"`
	Containers     []Container `yaml:"containers"`
	Volumes        []Volume    `yaml:"volumes"`
}

// Container is one container of a Pod.
type Container struct {
	Name          string   `yaml:"name"`
	Image         string   `yaml:"image"`
	RestartPolicy string   `yaml:"restartPolicy"`
	Args          []string `yaml:"args"`
	Env           []Env    `yaml:"env"`
	Mounts        []Mount  `yaml:"volumeMounts"`
	Ports         []Port   `yaml:"ports"`
}

// Env is one environment variable; Field is the downward API's path when the value comes from there.
type Env struct {
	Name      string `yaml:"name"`
	Value     string `yaml:"value"`
	ValueFrom struct {
		FieldRef struct {
			FieldPath string `yaml:"fieldPath"`
		} `yaml:"fieldRef"`
	} `yaml:"valueFrom"`
}

// Mount says where a volume appears.
type Mount struct {
	Name      string `yaml:"name"`
	MountPath string `yaml:"mountPath"`
	ReadOnly  bool   `yaml:"readOnly"`
}

// Port is a named port.
type Port struct {
	Name          string `yaml:"name"`
	ContainerPort int    `yaml:"containerPort"`
}

// Volume is a volume; ConfigMap is empty for one that starts empty.
type Volume struct {
	Name      string `yaml:"name"`
	ConfigMap struct {
		Name string `yaml:"name"`
	} `yaml:"configMap"`
}

// Sidecar says whether an init container is a native sidecar.
func (c Container) Sidecar() bool { return c.RestartPolicy == "Always" }

// Read reads a manifest file. Unknown kinds are passed over.
func Read(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &File{ConfigMaps: map[string]map[string]string{}}
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var object struct {
			Kind     string
			Metadata struct{ Name string }
			Data     map[string]string
			Spec     Pod
		}
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return f, nil
		} else if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		switch object.Kind {
		case "ConfigMap":
			f.ConfigMaps[object.Metadata.Name] = object.Data
		case "Pod":
			f.Pod = object.Spec
			f.Pod.Name = object.Metadata.Name
		}
	}
}

// WriteVolumes makes a directory below dir for each volume of the Pod, with the files of its ConfigMap when the
// manifest holds that, and returns the directories by volume name.
func (f *File) WriteVolumes(dir string) (map[string]string, error) {
	volumes := map[string]string{}
	for _, v := range f.Pod.Volumes {
		path := filepath.Join(dir, v.Name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return nil, err
		}
		for name, text := range f.ConfigMaps[v.ConfigMap.Name] {
			if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o644); err != nil {
				return nil, err
			}
		}
		volumes[v.Name] = path
	}
	return volumes, nil
}
