package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/serin-gitops/serin/e2e/progress"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/builds"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/configs"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/machine"
	"github.com/serin-gitops/serin/e2e/sandbox/internal/netns"
)

// Options of Up, Down and Build.
type Options struct {
	// Root is the repository; empty: found upwards from the working directory.
	Root string
	// CacheDir holds builds and state; empty: $SERIN_CACHE, else Root/.cache.
	CacheDir string
	// Profile to bring up; empty: Light.
	Profile Profile
	// Kubeconfig names an existing cluster to use instead of a sandbox.
	Kubeconfig string
	// Progress gets a line for every part; nil: none.
	Progress io.Writer
}

// complete checks the options and fills in defaults. Of profiles it knows those that
// Up does, and also more.
func (o Options) complete(also ...Profile) (Options, layout.Layout, error) {
	o.Profile = cmp.Or(o.Profile, Light)
	if known := append([]Profile{Light, Full}, also...); !slices.Contains(known, o.Profile) {
		return o, layout.Layout{}, fmt.Errorf("profile %q: must be one of %q", o.Profile, known)
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	l, err := layout.New(o.Root, o.CacheDir)
	return o, l, err
}

// lockPath is one for the machine, as the network namespace is.
const lockPath = "/run/" + layout.NetNS + ".lock"

// ownerPath names the cache directory that the namespace belongs to.
const ownerPath = "/run/" + layout.NetNS + ".owner"

// Check tells at once what Up would fail of on this machine: that it is not run
// as root, a port in use, a full disk.
func Check(options Options) error {
	_, l, err := options.complete()
	if err != nil || options.Kubeconfig != "" {
		return err
	}
	return machine.Check(l)
}

// Up brings the sandbox up and returns when it takes work. What runs already is
// kept; what died, or was left by a crash, is cleaned up and started.
func Up(ctx context.Context, options Options) (*Cluster, error) {
	options, l, err := options.complete()
	if err != nil {
		return nil, err
	}
	if options.Kubeconfig != "" {
		return useExisting(ctx, l, options.Kubeconfig)
	}
	if err := machine.Check(l); err != nil {
		return nil, err
	}
	unlock, err := layout.LockFile(lockPath)
	if err != nil {
		return nil, err
	}
	defer unlock()
	cluster := newCluster(l, options.Profile)
	if options.Profile == Light && netns.Ready(ctx) && fullRuns(l) {
		cluster = newCluster(l, Full) // what runs is kept
		if cluster.Gitea, err = savedGitea(l); err != nil {
			return nil, err
		}
	}
	if err := progress.Run(ctx, options.Progress, upSteps(cluster, options.Profile)); err != nil {
		return nil, orFull(l, err)
	}
	return cluster, nil
}

// fullRuns tells whether any part runs that only profile full has.
func fullRuns(l layout.Layout) bool {
	return slices.ContainsFunc(fullParts(l), func(one part) bool {
		_, ok := machine.Running(l, one.name)
		return ok
	})
}

// upSteps lists everything Up does, in order. The profile is what is asked for;
// the cluster's may be more, of which nothing is started.
func upSteps(c *Cluster, profile Profile) []progress.Part {
	l := c.layout
	steps := []progress.Part{{Name: "Debian packages", Run: func(ctx context.Context) error { return machine.InstallPackages(ctx, l, profile) }}}
	steps = append(steps, buildSteps(l, profile)...)
	steps = append(steps,
		progress.Part{Name: "network", Run: func(ctx context.Context) error { return prepareNetwork(ctx, l) }},
		progress.Part{Name: "credentials and configuration", Run: func(ctx context.Context) error { return prepareFiles(ctx, c) }},
	)
	for _, one := range lightParts(l) {
		steps = append(steps, progress.Part{Name: one.name, Run: func(ctx context.Context) error { return startPart(ctx, c, one) }})
	}
	steps = append(steps,
		progress.Part{Name: "cluster objects", Run: func(ctx context.Context) error { return applyFile(ctx, c, l.Path("config", "objects.yaml")) }},
		progress.Part{Name: "node ready", Run: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready within %s; the kubelet's log is %s", readyTimeout, l.Log(partKubelet)))
			defer cancel()
			return nodeReady(ctx, c)
		}},
	)
	if profile == Full {
		steps = append(steps, fullSteps(c)...)
	}
	return append(steps, progress.Part{Name: "environment file", Run: func(context.Context) error { return writeEnvironment(l, c) }})
}

// buildSteps lists the builds of a profile.
func buildSteps(l layout.Layout, profile Profile) []progress.Part {
	var steps []progress.Part
	for _, one := range builds.For(profile) {
		steps = append(steps, progress.Part{Name: "build of " + one.Name, Run: func(ctx context.Context) error {
			_, err := builds.Build(ctx, l, one)
			return err
		}})
	}
	if profile == Servers {
		return steps
	}
	return append(steps, progress.Part{Name: "build of the sandbox's helpers", Run: func(ctx context.Context) error { return builds.BuildHelpers(ctx, l) }})
}

// Build builds what a profile, or Servers, needs and starts nothing. It does not
// need root.
func Build(ctx context.Context, options Options) error {
	options, l, err := options.complete(Servers)
	if err != nil {
		return err
	}
	return orFull(l, progress.Run(ctx, options.Progress, buildSteps(l, options.Profile)))
}

// orFull adds to an error that a disk is full, where one is.
func orFull(l layout.Layout, err error) error {
	if full := machine.FullDisk(l); err != nil && full != "" {
		return fmt.Errorf("%w; %s", err, full)
	}
	return err
}

// prepareNetwork keeps a network namespace that is whole. Else everything of an
// earlier sandbox is stopped and removed first, whatever is left of it.
func prepareNetwork(ctx context.Context, l layout.Layout) error {
	owner, err := os.ReadFile(ownerPath)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if other := string(owner); other != "" && other != l.Cache {
		previous := layout.Layout{Root: l.Root, Cache: other, Dir: filepath.Join(other, "sandbox")}
		if _, ok := machine.Running(previous, partAPI); ok {
			return fmt.Errorf("the machine's sandbox is up with the cache directory %s: use that, or take it down there", other)
		}
		if err := stopAll(ctx, previous); err != nil {
			return err
		}
	} else if netns.Ready(ctx) {
		return nil
	}
	if err := stopAll(ctx, l); err != nil {
		return err
	}
	if err := netns.Make(ctx); err != nil {
		return err
	}
	return layout.WriteFile(ownerPath, []byte(l.Cache), 0o644)
}

// prepareFiles writes what the parts read, and remembers the profile.
func prepareFiles(ctx context.Context, c *Cluster) error {
	l := c.layout
	if err := os.RemoveAll(l.Path("existing")); err != nil {
		return err
	}
	if err := builds.LinkNames(l); err != nil {
		return err
	}
	if err := machine.MakeCgroups(); err != nil {
		return err
	}
	if err := os.MkdirAll(l.Path("targets"), 0o755); err != nil {
		return err
	}
	if err := machine.ClaimHostData(l, machine.HostData); err != nil {
		return err
	}
	if err := configs.WritePKI(l, time.Now()); err != nil {
		return err
	}
	config := configs.Settings{Layout: l, Full: c.Profile == Full}
	if config.Full {
		var err error
		if config.GiteaSources, err = prepareGiteaFiles(ctx, l); err != nil {
			return err
		}
	}
	if err := configs.WriteConfigs(config); err != nil {
		return err
	}
	return layout.WriteFile(l.Path("profile"), []byte(c.Profile), 0o644)
}

// savedProfile is the profile of the sandbox that is up or was left by a crash.
func savedProfile(l layout.Layout) Profile {
	text, err := os.ReadFile(l.Path("profile"))
	if err != nil || Profile(text) != Full {
		return Light
	}
	return Full
}

// applyFile applies a file of manifests.
func applyFile(ctx context.Context, c *Cluster, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return c.Apply(ctx, string(text))
}

// useExisting verifies access to an existing cluster and remembers it for Attach.
func useExisting(ctx context.Context, l layout.Layout, kubeconfig string) (*Cluster, error) {
	cluster, err := Existing(ctx, kubeconfig)
	if err != nil {
		return nil, err
	}
	return cluster, errors.Join(layout.WriteFile(l.Path("existing"), []byte(cluster.Kubeconfig), 0o644), writeEnvironment(l, cluster))
}

// Existing takes an existing cluster in place of a sandbox, without remembering
// it for Attach: a sandbox that is up stays the one that is found.
func Existing(ctx context.Context, kubeconfig string) (*Cluster, error) {
	kubeconfig, err := filepath.Abs(kubeconfig)
	if err != nil {
		return nil, err
	}
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return nil, fmt.Errorf("an existing cluster is reached by kubectl: %w", err)
	}
	cluster := &Cluster{Kubeconfig: kubeconfig, Kubectl: kubectl}
	client, err := cluster.clientset()
	if err != nil {
		return nil, err
	}
	if _, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return nil, fmt.Errorf("existing cluster of %s: %w", kubeconfig, err)
	}
	return cluster, nil
}

// DownAtLast is Down for the end of a program: also after an interrupt, and
// bounded.
func DownAtLast(ctx context.Context, options Options) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	return Down(ctx, options)
}

// Down stops everything and removes it from the machine and its data from the
// cache. Builds, logs and the bootstrap registry's images are kept. Down when
// nothing is up is not an error.
func Down(ctx context.Context, options Options) error {
	_, l, err := options.complete()
	if err != nil {
		return err
	}
	if _, err := os.Stat(l.Path("existing")); err == nil {
		// The cluster is not ours to stop.
		return errors.Join(os.Remove(l.Path("existing")), os.RemoveAll(environmentFile(l)))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("root is needed to stop the sandbox; this is user %d: run it with sudo", os.Geteuid())
	}
	unlock, err := layout.LockFile(lockPath)
	if err != nil {
		return err
	}
	defer unlock()
	owner, err := os.ReadFile(ownerPath)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if other := string(owner); other != "" && other != l.Cache {
		return fmt.Errorf("the machine's sandbox belongs to the cache directory %s: take it down with SERIN_CACHE=%s", other, other)
	}
	if err := stopAll(ctx, l); err != nil {
		return err
	}
	if err := machine.RemoveHostData(l); err != nil {
		return err
	}
	for _, name := range []string{
		"etcd", "containerd", "kubelet-root", "prometheus", "pki", "config", "targets", "run", "bin", "kubeconfig", "profile", "existing",
		"gitea", "gitea-access.json", "flux", "environment",
	} {
		if err := os.RemoveAll(l.Path(name)); err != nil {
			return err
		}
	}
	if err := os.Remove(ownerPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// stopAll stops every part in the reverse order of starting, so that the
// kubelet ends before its containers do and does not start them again, and then
// removes what they leave behind.
func stopAll(ctx context.Context, l layout.Layout) error {
	files, err := filepath.Glob(machine.RecordPath(l, "*"))
	if err != nil {
		return err
	}
	known := parts(l, Full)
	for i := len(known) - 1; i >= 0; i-- {
		if err := machine.Stop(ctx, l, known[i].name, true); err != nil {
			return err
		}
	}
	for _, file := range files { // parts of another version of this program
		if err := machine.Stop(ctx, l, strings.TrimSuffix(filepath.Base(file), ".json"), true); err != nil {
			return err
		}
	}
	return machine.CleanUp(ctx, l)
}

// forwardReady waits until the forwarder listens.
func forwardReady(ctx context.Context, _ *Cluster) error {
	return until(ctx, func(ctx context.Context) error {
		return connects(ctx, "tcp", layout.HostPort("127.0.0.1", layout.APIPort))
	})
}

// containerdReady waits until containerd listens.
func containerdReady(ctx context.Context, c *Cluster) error {
	return until(ctx, func(ctx context.Context) error { return connects(ctx, "unix", c.layout.ContainerdSocket()) })
}

// connects tells whether somebody listens.
func connects(ctx context.Context, network, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// pushPause puts the pause image where containerd looks for it.
func pushPause(ctx context.Context, c *Cluster) error {
	_, err := c.PushBinary(ctx, "pause:1", c.layout.Tool("pause"))
	return err
}
