package overlays

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/serin-gitops/serin/overlays/internal/confined"
)

// rendering is held while kustomize runs: it keeps the OpenAPI schema of the
// run in package variables, so two runs at once would read each other's.
var rendering sync.Mutex

// Render builds the overlay in dir with kustomize, straight from files: nothing
// is written, and nothing that is not in files is read. Remote bases, paths
// that leave the repository, Helm charts and plugins are refused; the error
// names the file and the field. files must not follow symbolic links out of
// the repository (the Files of a Tip do not).
func Render(files fs.FS, dir string) (Manifests, error) {
	dir = path.Clean(strings.TrimPrefix(dir, "/"))
	if !fs.ValidPath(dir) {
		return Manifests{}, fmt.Errorf("%s: the path leaves the repository", dir)
	}
	if _, _, err := readKustomization(files, dir); err != nil {
		return Manifests{}, err
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	// The whole repository may be read, as Flux and Argo CD allow it; the view
	// keeps kustomize inside.
	options.LoadRestrictions = types.LoadRestrictionsNone
	view := confined.New(files)
	resources, err := runKustomize(krusty.MakeKustomizer(options), view, path.Join(confined.Mount, dir))
	if refusal := view.Refusal(); refusal != nil {
		return Manifests{}, fmt.Errorf("render %s: %w", dir, refusal)
	}
	if err != nil {
		return Manifests{}, fmt.Errorf("render %s: %s", dir, relative(err))
	}
	return manifestsOf(dir, resources)
}

// runKustomize keeps a panic of kustomize on odd input from ending the process.
func runKustomize(k *krusty.Kustomizer, view *confined.FS, dir string) (resources resmap.ResMap, err error) {
	rendering.Lock()
	defer rendering.Unlock()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("kustomize ended on an internal error: %v", p)
		}
	}()
	return k.Run(view, dir)
}

// relative is the error's text with paths as the repository has them.
func relative(err error) string {
	return strings.ReplaceAll(strings.ReplaceAll(err.Error(), confined.Mount+"/", ""), confined.Mount, ".")
}

func manifestsOf(dir string, resources resmap.ResMap) (Manifests, error) {
	var m Manifests
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return Manifests{}, fmt.Errorf("render %s: %s: %w", dir, resource.CurId(), err)
		}
		if err := m.add(text); err != nil {
			return Manifests{}, fmt.Errorf("render %s: %s: %w", dir, resource.CurId(), err)
		}
	}
	return m, nil
}
