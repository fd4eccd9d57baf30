package images

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Overlay says how one overlay of the example differs in a test's repository
// from what the project ships.
type Overlay struct {
	// Components are added, by the names of their folders: "hostpath" where the
	// cluster has no volume provisioner, "gateway" where it has a Gateway API
	// data plane.
	Components []string
	// NewName, Tag and Digest replace those of the image ipfs-kit; an empty
	// one leaves what is there.
	NewName, Tag, Digest string
}

// DeployTree is the content of a deploy repository made of the example's
// manifests under root (the project's root): files by path, such as
// "deploy/overlays/prod/kustomization.yaml".
func DeployTree(root string, overlays map[string]Overlay) (map[string][]byte, error) {
	base := filepath.Join(root, "examples", "ipfs-kit")
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(base), "deploy", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(base, path))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the manifests of ipfs-kit: %w", err)
	}
	for name, overlay := range overlays {
		path := "deploy/overlays/" + name + "/kustomization.yaml"
		original, ok := files[path]
		if !ok {
			return nil, fmt.Errorf("the example has no overlay %q: %s is missing", name, path)
		}
		if files[path], err = overlay.apply(original); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return files, nil
}

func (o Overlay) apply(kustomization []byte) ([]byte, error) {
	root, err := yaml.Parse(string(kustomization))
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	image, err := root.Pipe(yaml.Lookup("images", "[name=ipfs-kit]"))
	if err != nil || image == nil {
		return nil, fmt.Errorf("find the image ipfs-kit: %w", err)
	}
	for _, field := range []struct{ name, value string }{
		{"newName", o.NewName}, {"newTag", o.Tag}, {"digest", o.Digest},
	} {
		if field.value == "" {
			continue
		}
		if err := image.PipeE(yaml.SetField(field.name, yaml.NewStringRNode(field.value))); err != nil {
			return nil, fmt.Errorf("set images[ipfs-kit].%s: %w", field.name, err)
		}
	}
	text, err := root.String()
	if err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	if len(o.Components) > 0 {
		text += "components:\n  - ../../components/" + strings.Join(o.Components, "\n  - ../../components/") + "\n"
	}
	return []byte(text), nil
}
