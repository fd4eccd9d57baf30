package overlays

import (
	"fmt"
	"io/fs"

	"github.com/serin-gitops/serin/environments"
)

// Current is the image that the overlay in dir has of each repository, in their
// order: what its kustomization sets, and where that says nothing what its
// workloads render to. A repository that is used nowhere is left out.
func Current(files fs.FS, dir string, repositories []string) ([]environments.Image, error) {
	set, err := Images(files, dir, repositories)
	if err != nil {
		return nil, err
	}
	if len(set) == len(repositories) {
		return set, nil
	}
	manifests, err := Render(files, dir)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", dir, err)
	}
	var current []environments.Image
	for _, repository := range repositories {
		image, found := environments.Find(set, repository)
		for _, workload := range manifests.Workloads() {
			if found {
				break
			}
			image, found = workload.Runs(repository)
		}
		if found {
			current = append(current, image)
		}
	}
	return current, nil
}
