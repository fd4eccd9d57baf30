package overlays

import (
	"bytes"
	"fmt"

	"github.com/serin-gitops/serin/environments"
	sigsyaml "sigs.k8s.io/yaml"
)

// Object is one rendered object.
type Object struct {
	APIVersion, Kind, Namespace, Name string
	// YAML is the object's manifest.
	YAML []byte

	fields map[string]any
}

// String names the object as kubectl does, with its namespace.
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + "/" + o.Name
	}
	return o.Kind + "/" + o.Namespace + "/" + o.Name
}

// key tells objects of one rendering apart.
func (o Object) key() string { return o.APIVersion + "|" + o.String() }

// Manifests are the objects of one rendering, in kustomize's order.
type Manifests struct {
	Objects []Object
}

// ParseManifests reads objects from YAML documents.
func ParseManifests(text []byte) (Manifests, error) {
	var m Manifests
	for _, doc := range bytes.Split(append([]byte("\n"), text...), []byte("\n---")) {
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		if err := m.add(doc); err != nil {
			return Manifests{}, err
		}
	}
	return m, nil
}

func (m *Manifests) add(text []byte) error {
	var fields map[string]any
	if err := sigsyaml.Unmarshal(text, &fields); err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	if len(fields) == 0 {
		return nil
	}
	metadata := asMap(fields["metadata"])
	m.Objects = append(m.Objects, Object{
		APIVersion: asString(fields["apiVersion"]),
		Kind:       asString(fields["kind"]),
		Namespace:  asString(metadata["namespace"]),
		Name:       asString(metadata["name"]),
		YAML:       bytes.TrimLeft(text, "\n"),
		fields:     fields,
	})
	return nil
}

// YAML is all objects as one stream of documents.
func (m Manifests) YAML() []byte {
	var b bytes.Buffer
	for i, o := range m.Objects {
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(o.YAML)
	}
	return b.Bytes()
}

// Container is a container of a pod template.
type Container struct {
	Name  string
	Image environments.Image
	// Init says that it runs before the others.
	Init bool
}

// Workload is an object that runs pods.
type Workload struct {
	APIVersion, Kind, Namespace, Name string
	Containers                        []Container
}

// Runs says whether a container has the image of this repository, and which.
func (w Workload) Runs(repository string) (environments.Image, bool) {
	for _, c := range w.Containers {
		if c.Image.Repository == repository {
			return c.Image, true
		}
	}
	return environments.Image{}, false
}

// templates say where the pod specification of a kind is.
var templates = map[string][]string{
	"Deployment":            {"spec", "template", "spec"},
	"StatefulSet":           {"spec", "template", "spec"},
	"DaemonSet":             {"spec", "template", "spec"},
	"ReplicaSet":            {"spec", "template", "spec"},
	"ReplicationController": {"spec", "template", "spec"},
	"Job":                   {"spec", "template", "spec"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template", "spec"},
	"Pod":                   {"spec"},
}

// Workloads are the objects that run pods, with their containers' images. A
// container whose image is no reference is left out.
func (m Manifests) Workloads() []Workload {
	var workloads []Workload
	for _, o := range m.Objects {
		steps, ok := templates[o.Kind]
		if !ok {
			continue
		}
		spec := o.fields
		for _, step := range steps {
			spec = asMap(spec[step])
		}
		w := Workload{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
		w.Containers = append(w.Containers, containersOf(spec["initContainers"], true)...)
		w.Containers = append(w.Containers, containersOf(spec["containers"], false)...)
		workloads = append(workloads, w)
	}
	return workloads
}

func containersOf(list any, init bool) []Container {
	items, _ := list.([]any)
	var containers []Container
	for _, item := range items {
		fields := asMap(item)
		image, err := environments.ParseImage(asString(fields["image"]))
		if err != nil {
			continue
		}
		containers = append(containers, Container{Name: asString(fields["name"]), Image: image, Init: init})
	}
	return containers
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func asString(v any) string {
	s, _ := v.(string)
	return s
}
