package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const (
	// user is the nonroot user of distroless images.
	user = "65532:65532"
	// certificatesPath is where crypto/x509 looks first, in the host as in the image.
	certificatesPath = "/etc/ssl/certs/ca-certificates.crt"
)

// nodes are what images are for.
var nodes = v1.Platform{OS: "linux", Architecture: "amd64"}

// program is what an image is made of.
type program struct {
	// name is that of the binary, of its path in the image and of its cache file.
	name string
	// folder is the Go module's, below the project's root; target the package in it.
	folder, target string
	version        string
	// variables are set by -ldflags -X.
	variables map[string]string
	// certificates adds the host's CA certificates.
	certificates bool
	// here makes it for this machine, where that is not like the nodes.
	here bool
}

type labels struct {
	version, revision, source string
	created                   time.Time
}

// compile builds the program statically and returns the binary's path. Every
// set of variables has a path of its own, where `go build` sees that nothing
// changed.
func (b *Builder) compile(ctx context.Context, p program) (string, error) {
	cache := b.Cache
	if cache == "" {
		cache = filepath.Join(b.Root, ".cache", "images")
	}
	if err := os.MkdirAll(cache, 0o750); err != nil {
		return "", fmt.Errorf("make the cache of images: %w", err)
	}
	file, flags := p.name, "-s -w"
	for _, variable := range slices.Sorted(maps.Keys(p.variables)) {
		file += "-" + strings.ReplaceAll(p.variables[variable], string(filepath.Separator), "_")
		flags += " -X " + variable + "=" + p.variables[variable]
	}
	platform := nodes
	if p.here {
		platform = machine()
	}
	if !platform.Equals(nodes) {
		file += "-here"
	}
	binary := filepath.Join(cache, file)
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", binary, p.target)
	command.Dir = filepath.Join(b.Root, p.folder)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
	if output, err := command.CombinedOutput(); err != nil {
		said := strings.ReplaceAll(strings.TrimSpace(string(output)), "\n", "; ")
		return "", fmt.Errorf("build %s in %s: %w: %s", p.target, command.Dir, err, said)
	}
	return binary, nil
}

// machine is what this process runs on.
func machine() v1.Platform { return v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH} }

// created is the time of an image: of two semantic versions the later has the
// later time, so that policies by time and by version agree in tests.
func (b *Builder) created(version string) time.Time {
	epoch := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	if !b.Created.IsZero() {
		return b.Created.UTC()
	}
	parsed, err := semver.NewVersion(version)
	if err != nil {
		return epoch
	}
	minutes := (parsed.Major()%1000*100+parsed.Minor()%100)*100 + parsed.Patch()%100
	return epoch.Add(time.Duration(minutes) * time.Minute) //nolint:gosec // below 10 million
}

// assemble puts the binary into an image.
func assemble(p program, binary string, l labels) (v1.Image, error) {
	files := []file{{path: "/" + p.name, source: binary, mode: 0o755}}
	if p.certificates {
		switch _, err := os.Stat(certificatesPath); {
		case err == nil:
			files = append(files, file{path: certificatesPath, source: certificatesPath, mode: 0o644})
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("read the CA certificates: %w", err)
		}
	}
	content, err := archive(files)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	})
	if err != nil {
		return nil, fmt.Errorf("make the layer: %w", err)
	}
	img, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer: layer, History: v1.History{Created: v1.Time{Time: l.created}, CreatedBy: "serin e2e/images"},
	})
	if err != nil {
		return nil, fmt.Errorf("add the layer: %w", err)
	}
	base, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	configuration := base.DeepCopy()
	configuration.OS, configuration.Architecture = nodes.OS, nodes.Architecture
	configuration.Created = v1.Time{Time: l.created}
	configuration.Config = configOf(p.name, l)
	return mutate.ConfigFile(img, configuration)
}

// configOf is what a container of the image starts with. For Serin it says
// what the Dockerfile says.
func configOf(binary string, l labels) v1.Config {
	all := map[string]string{
		"org.opencontainers.image.version": l.version,
		"org.opencontainers.image.source":  l.source,
		"org.opencontainers.image.created": l.created.Format(time.RFC3339),
		"org.opencontainers.image.title":   binary,
	}
	if l.revision != "" {
		all["org.opencontainers.image.revision"] = l.revision
	}
	return v1.Config{User: user, WorkingDir: "/", Entrypoint: []string{"/" + binary}, Labels: all}
}

type file struct {
	path, source string
	mode         int64
}

// archive makes a tar of files, all of root and without times.
func archive(files []file) ([]byte, error) {
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for _, f := range files {
		content, err := os.ReadFile(f.source)
		if err != nil {
			return nil, fmt.Errorf("read a file of the image: %w", err)
		}
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.path, "/"), Mode: f.mode,
			Size: int64(len(content)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
		}
		if err := writer.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("archive %s: %w", f.path, err)
		}
		if _, err := writer.Write(content); err != nil {
			return nil, fmt.Errorf("archive %s: %w", f.path, err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return buffer.Bytes(), nil
}
