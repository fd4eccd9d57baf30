package oci

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/registry"
)

// maxConfig bounds an image's configuration, in bytes: it is read into memory.
const maxConfig = 8 << 20

// defaultPlatform describes an index for which no platform is asked.
var defaultPlatform = registry.Platform{OS: "linux", Architecture: "amd64"}

// read gets the manifest and what it says of itself.
func read(ctx context.Context, puller *remote.Puller, ref name.Reference, platform *registry.Platform) (registry.Artifact, error) {
	top, err := puller.Get(ctx, ref)
	if err != nil {
		return registry.Artifact{}, err
	}
	artifact := registry.Artifact{Image: environments.Image{Digest: environments.Digest(top.Digest.String())}}
	about := map[string]string{}
	described := top
	if top.MediaType.IsIndex() {
		index, err := top.ImageIndex()
		if err != nil {
			return artifact, err
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			return artifact, err
		}
		child, err := choose(manifest.Manifests, platform)
		if err != nil {
			return artifact, err
		}
		merge(about, manifest.Annotations)
		if described, err = puller.Get(ctx, ref.Context().Digest(child.Digest.String())); err != nil {
			return artifact, err
		}
	}
	created, err := describe(described, about, platform)
	if err != nil {
		return artifact, err
	}
	artifact.Created = created
	artifact.Revision = about[specs.AnnotationRevision]
	artifact.Source = about[specs.AnnotationSource]
	artifact.Version = about[specs.AnnotationVersion]
	return artifact, nil
}

// describe reads one platform's image: annotations of the manifest win over
// labels of the configuration, and both are added to about where it is silent.
func describe(descriptor *remote.Descriptor, about map[string]string, platform *registry.Platform) (time.Time, error) {
	image, err := descriptor.Image()
	if err != nil {
		return time.Time{}, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return time.Time{}, err
	}
	if manifest.Config.Size > maxConfig {
		return time.Time{}, fmt.Errorf("image %s: its configuration is %d bytes, more than the %d that are read",
			descriptor.Digest, manifest.Config.Size, maxConfig)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return time.Time{}, err
	}
	if platform != nil && config.Architecture != "" && !fits(v1.Platform{
		OS: config.OS, Architecture: config.Architecture, Variant: config.Variant,
	}, *platform) {
		return time.Time{}, fmt.Errorf("image %s is for %s/%s, not %s/%s: %w",
			descriptor.Digest, config.OS, config.Architecture, platform.OS, platform.Architecture, registry.ErrNotFound)
	}
	merge(about, manifest.Annotations)
	merge(about, config.Config.Labels)
	if config.Created.Unix() > 0 {
		return config.Created.UTC(), nil
	}
	// A reproducible build leaves the configuration's time out and may still
	// say it in the annotation.
	if created, err := time.Parse(time.RFC3339, about[specs.AnnotationCreated]); err == nil {
		return created.UTC(), nil
	}
	return time.Time{}, nil
}

// choose picks the image of an index for a platform.
func choose(manifests []v1.Descriptor, platform *registry.Platform) (v1.Descriptor, error) {
	wanted := defaultPlatform
	if platform != nil {
		wanted = *platform
	}
	var first *v1.Descriptor
	for i, m := range manifests {
		// BuildKit stores attestations as images of platform unknown/unknown.
		if !m.MediaType.IsImage() || m.Platform != nil && m.Platform.OS == "unknown" {
			continue
		}
		if m.Platform != nil && fits(*m.Platform, wanted) {
			return m, nil
		}
		if first == nil {
			first = &manifests[i]
		}
	}
	if platform == nil && first != nil {
		return *first, nil
	}
	return v1.Descriptor{}, fmt.Errorf("the index has no image for %s/%s: %w", wanted.OS, wanted.Architecture, registry.ErrNotFound)
}

func fits(has v1.Platform, wanted registry.Platform) bool {
	return has.OS == wanted.OS && has.Architecture == wanted.Architecture &&
		(wanted.Variant == "" || has.Variant == wanted.Variant)
}

// merge adds what into does not have.
func merge(into, from map[string]string) {
	for key, value := range from {
		if into[key] == "" {
			into[key] = value
		}
	}
}
