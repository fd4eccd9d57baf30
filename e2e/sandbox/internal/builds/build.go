// Package builds makes the binaries of the sandbox out of Go modules.
package builds

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/machine"
)

// Tool is a binary built from a nested Go module under e2e/tools.
type Tool struct {
	// Name is that of the binary, and of its folder unless module says otherwise.
	Name string
	// module is the folder under e2e/tools; empty: Name.
	module string
	// pkg is the package to build; empty: the module's own. Programs whose code
	// is internal to their module are built as they are.
	pkg     string
	cgo     bool
	tags    string
	ldflags string
	profile layout.Profile
}

const (
	kubernetesVersion = "v1.37.2"
	versionPackage    = "k8s.io/component-base/version"
	// withoutClouds leaves the discoveries of clouds out of Prometheus' libraries.
	withoutClouds = "remove_all_sd"
)

// tools are built in this order. The reports of Kubernetes' parts about their
// own version come from the linker, since no Git checkout is involved.
var tools = []Tool{
	{Name: "kubernetes", profile: layout.Light, ldflags: strings.Join([]string{
		"-X " + versionPackage + ".gitVersion=" + kubernetesVersion,
		"-X " + versionPackage + ".gitMajor=1",
		"-X " + versionPackage + ".gitMinor=37",
		"-X " + versionPackage + ".gitTreeState=clean",
		"-X " + versionPackage + ".gitCommit=" + kubernetesVersion,
		"-X " + versionPackage + ".buildDate=2026-01-01T00:00:00Z",
	}, " ")},
	{Name: "coredns", profile: layout.Light},
	{Name: "gitea", pkg: "code.gitea.io/gitea", cgo: true, tags: "sqlite sqlite_unlock_notify", profile: layout.Full,
		ldflags: "-X main.Version=1.25.4"},
	{Name: "traefik", pkg: "github.com/traefik/traefik/v3/cmd/traefik", profile: layout.Full,
		ldflags: "-X github.com/traefik/traefik/v3/pkg/version.Version=3.6.7"},
	{Name: "source-controller", module: "flux", pkg: "github.com/fluxcd/source-controller", profile: layout.Full},
	{Name: "kustomize-controller", module: "flux", pkg: "github.com/fluxcd/kustomize-controller", profile: layout.Full},
	// The scrape targets come from a file: each discovery of a cloud is a client library less to build.
	{Name: "prometheus", pkg: "github.com/prometheus/prometheus/cmd/prometheus", tags: withoutClouds, profile: layout.Servers},
	{Name: "victoria-metrics", pkg: "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics", profile: layout.Servers},
	// slicelabels as upstream: Thanos takes labels to be laid out as its messages have them.
	{Name: "thanos", pkg: "github.com/thanos-io/thanos/cmd/thanos", tags: "netgo slicelabels " + withoutClouds, profile: layout.Servers},
	{Name: "mimir", pkg: "github.com/grafana/mimir/cmd/mimir", tags: "netgo " + withoutClouds, profile: layout.Servers},
}

// names by which the kubernetes binary is called.
var kubernetesNames = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"}

// args are the arguments of go for building the tool into a file.
func (t Tool) args(output string) []string {
	args := []string{"build", "-mod=readonly", "-trimpath", "-ldflags", strings.TrimSpace("-s -w " + t.ldflags)}
	if t.tags != "" {
		args = append(args, "-tags", t.tags)
	}
	return append(args, "-o", output, cmp.Or(t.pkg, "."))
}

// stamp identifies what the tool would be built from: its module's sources,
// go.mod and go.sum, the flags and the compiler.
func (t Tool) stamp(dir, compiler string) (string, error) {
	var files []string
	for _, pattern := range []string{"*.go", "go.mod", "go.sum"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return "", fmt.Errorf("tool %s: no sources in %s", t.Name, dir)
	}
	slices.Sort(files)
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%q\ncgo=%t\n", compiler, t.args("out"), t.cgo)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n", filepath.Base(file), len(text))
		hash.Write(text)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// For lists the tools of a profile in the order they are built.
func For(profile layout.Profile) []Tool {
	return slices.DeleteFunc(slices.Clone(tools), func(one Tool) bool {
		needed := one.profile == profile || one.profile == layout.Light && profile == layout.Full
		return !needed
	})
}

// Build builds the tool unless an up-to-date one is there. A second builder
// waits for the first and then finds its result.
func Build(ctx context.Context, l layout.Layout, t Tool) (built bool, err error) {
	unlock, err := layout.LockFile(l.Tool("." + t.Name + ".lock"))
	if err != nil {
		return false, err
	}
	defer unlock()
	dir := filepath.Join(l.Root, "e2e", "tools", cmp.Or(t.module, t.Name))
	compiler, err := goVersion(ctx, dir)
	if err != nil {
		return false, err
	}
	stamp, err := t.stamp(dir, compiler)
	if err != nil {
		return false, err
	}
	stampFile := l.Tool(t.Name + ".stamp")
	have, err := os.ReadFile(stampFile)
	if err == nil && string(have) == stamp {
		if _, err := os.Stat(l.Tool(t.Name)); err == nil {
			return false, nil
		}
	}
	cgo := "0"
	if t.cgo {
		cgo = "1"
	}
	next := l.Tool(t.Name + ".next")
	if err := goBuild(ctx, dir, l.Tool(t.Name+".log"), []string{"CGO_ENABLED=" + cgo}, t.args(next)); err != nil {
		return false, err
	}
	if err := os.Rename(next, l.Tool(t.Name)); err != nil {
		return false, err
	}
	return true, layout.WriteFile(stampFile, []byte(stamp), 0o644)
}

// BuildHelpers builds the sandbox's own background programs out of the main
// module. Go's build cache makes it cheap to do every time.
func BuildHelpers(ctx context.Context, l layout.Layout) error {
	unlock, err := layout.LockFile(l.Tool(".helpers.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	for _, name := range []string{"sandbox", "pause"} {
		// As images are built, so that Go compiles what they share once; and over the
		// old file, which Go leaves alone where nothing changed, and else removes
		// before it writes, for it may be running.
		args := []string{"build", "-trimpath", "-o", l.Tool(name), "./e2e/sandbox/cmd/" + name}
		if err := goBuild(ctx, l.Root, l.Tool(name+".log"), []string{"CGO_ENABLED=0"}, args); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// goBuild runs go at a low priority with its output in a log.
func goBuild(ctx context.Context, dir, logFile string, env, args []string) error {
	log, err := os.Create(logFile)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	command := exec.CommandContext(ctx, "nice", append([]string{"-n", "5", "go"}, args...)...)
	command.Dir, command.Stdout, command.Stderr = dir, log, log
	command.Env = append(append(os.Environ(), "GOWORK=off"), env...)
	if err := command.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return machine.Ended(fmt.Errorf("go %s: %w", args[0], err), logFile)
	}
	return nil
}

// goVersion is the version of the compiler that the module in dir gets.
func goVersion(ctx context.Context, dir string) (string, error) {
	command := exec.CommandContext(ctx, "go", "env", "GOVERSION")
	command.Dir = dir
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("go env GOVERSION: %w (is Go installed and in PATH?)", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// LinkNames gives the kubernetes binary the names it is called by.
func LinkNames(l layout.Layout) error {
	if err := os.MkdirAll(l.Path("bin"), 0o755); err != nil {
		return err
	}
	for _, name := range kubernetesNames {
		link := l.Bin(name)
		if target, err := os.Readlink(link); err == nil && target == l.Tool("kubernetes") {
			continue
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(l.Tool("kubernetes"), link); err != nil {
			return err
		}
	}
	return nil
}

// ModuleDir is where Go keeps the sources of a module that the module in within
// requires; it is downloaded when it is not there.
func ModuleDir(ctx context.Context, within, module string) (string, error) {
	command := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	command.Dir, command.Env = within, append(os.Environ(), "GOWORK=off")
	out, err := command.Output()
	var answer struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &answer); err == nil {
		err = jsonErr
	}
	if answer.Error != "" {
		err = errors.New(answer.Error)
	}
	if err != nil {
		return "", fmt.Errorf("sources of module %s: %w", module, err)
	}
	return answer.Dir, nil
}
