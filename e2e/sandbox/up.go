package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Profile says how much of the sandbox runs.
type Profile string

const (
	// Light is Kubernetes, the bootstrap registry and Prometheus.
	Light Profile = "light"
	// Full adds Gitea, Flux and Traefik.
	Full Profile = "full"
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

// complete checks the options and fills in defaults.
func (o Options) complete() (Options, layout, error) {
	switch o.Profile {
	case "":
		o.Profile = Light
	case Light, Full:
	default:
		return o, layout{}, fmt.Errorf("profile %q: must be %s or %s", o.Profile, Light, Full)
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	l, err := newLayout(o.Root, o.CacheDir)
	return o, l, err
}

// lockPath is one for the machine, as the network namespace is.
const lockPath = "/run/" + NetNS + ".lock"

// ownerPath names the cache directory that the namespace belongs to.
const ownerPath = "/run/" + NetNS + ".owner"

// step is one line of progress.
type step struct {
	name string
	run  func(ctx context.Context) error
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
	if err := checkMachine(l); err != nil {
		return nil, err
	}
	unlock, err := lockFile(lockPath)
	if err != nil {
		return nil, err
	}
	defer unlock()
	cluster := newCluster(l, options.Profile)
	if options.Profile == Light && networkReady(ctx) && fullRuns(l) {
		cluster = newCluster(l, Full) // what runs is kept
		if cluster.Gitea, err = savedGitea(l); err != nil {
			return nil, err
		}
	}
	if err := runSteps(ctx, options.Progress, upSteps(cluster, options.Profile)); err != nil {
		return nil, err
	}
	return cluster, nil
}

// fullRuns tells whether any part runs that only profile full has.
func fullRuns(l layout) bool {
	return slices.ContainsFunc(fullParts(l), func(one part) bool {
		_, ok := l.running(one.name)
		return ok
	})
}

// upSteps lists everything Up does, in order. The profile is what is asked for;
// the cluster's may be more, of which nothing is started.
func upSteps(c *Cluster, profile Profile) []step {
	l := c.layout
	steps := []step{{"Debian packages", func(ctx context.Context) error { return installPackages(ctx, l, profile) }}}
	steps = append(steps, buildSteps(l, profile)...)
	steps = append(steps,
		step{"network", func(ctx context.Context) error { return prepareNetwork(ctx, l) }},
		step{"credentials and configuration", func(ctx context.Context) error { return prepareFiles(ctx, c) }},
	)
	for _, one := range lightParts(l) {
		steps = append(steps, step{one.name, func(ctx context.Context) error { return startPart(ctx, c, one) }})
	}
	steps = append(steps,
		step{"cluster objects", func(ctx context.Context) error { return applyFile(ctx, c, l.path("config", "objects.yaml")) }},
		step{"node ready", func(ctx context.Context) error {
			ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errors.New("the kubelet's log is "+l.log(partKubelet)))
			defer cancel()
			return nodeReady(ctx, c)
		}},
	)
	if profile == Full {
		steps = append(steps, fullSteps(c)...)
	}
	return append(steps, step{"environment file", func(context.Context) error { return writeEnvironment(l, c) }})
}

// buildSteps lists the builds of a profile.
func buildSteps(l layout, profile Profile) []step {
	var steps []step
	for _, one := range tools {
		if one.profile == Full && profile != Full {
			continue
		}
		steps = append(steps, step{"build of " + one.name, func(ctx context.Context) error {
			_, err := buildTool(ctx, l, one)
			return err
		}})
	}
	return append(steps, step{"build of the sandbox's helpers", func(ctx context.Context) error { return buildHelpers(ctx, l) }})
}

// Build builds what a profile needs and starts nothing. It does not need root.
func Build(ctx context.Context, options Options) error {
	options, l, err := options.complete()
	if err != nil {
		return err
	}
	return runSteps(ctx, options.Progress, buildSteps(l, options.Profile))
}

// runSteps runs steps in order with a line of progress for each, and one now
// and then while a long step runs.
func runSteps(ctx context.Context, progress io.Writer, steps []step) error {
	start := time.Now()
	for i, one := range steps {
		where := fmt.Sprintf("part %d of %d: %s", i+1, len(steps), one.name)
		done := make(chan error, 1)
		begin := time.Now()
		go func() { done <- one.run(ctx) }()
		err := reportWhile(progress, where, begin, done)
		if err != nil {
			return fmt.Errorf("%s failed: %w", where, err)
		}
		_, _ = fmt.Fprintf(progress, "%s, %s (%s in all)\n", where, seconds(begin), seconds(start))
	}
	return nil
}

// reportWhile waits for a step and says every 15 s that it still runs.
func reportWhile(progress io.Writer, where string, begin time.Time, done <-chan error) error {
	ticker := time.NewTicker(15 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
			_, _ = fmt.Fprintf(progress, "%s ... %s\n", where, seconds(begin))
		}
	}
}

func seconds(since time.Time) string { return fmt.Sprintf("%.1fs", time.Since(since).Seconds()) }

// prepareNetwork keeps a network namespace that is whole. Else everything of an
// earlier sandbox is stopped and removed first, whatever is left of it.
func prepareNetwork(ctx context.Context, l layout) error {
	owner, err := os.ReadFile(ownerPath)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if other := string(owner); other != "" && other != l.cache {
		previous := layout{root: l.root, cache: other, dir: filepath.Join(other, "sandbox")}
		if _, ok := previous.running(partAPI); ok {
			return fmt.Errorf("the machine's sandbox is up with the cache directory %s: use that, or take it down there", other)
		}
		if err := stopAll(ctx, previous); err != nil {
			return err
		}
	} else if networkReady(ctx) {
		return nil
	}
	if err := stopAll(ctx, l); err != nil {
		return err
	}
	if err := makeNetwork(ctx); err != nil {
		return err
	}
	return writeFile(ownerPath, []byte(l.cache), 0o644)
}

// prepareFiles writes what the parts read, and remembers the profile.
func prepareFiles(ctx context.Context, c *Cluster) error {
	l := c.layout
	if err := os.RemoveAll(l.path("existing")); err != nil {
		return err
	}
	if err := linkNames(l); err != nil {
		return err
	}
	if err := makeCgroups(); err != nil {
		return err
	}
	if err := os.MkdirAll(l.path("targets"), 0o755); err != nil {
		return err
	}
	if err := claimHostData(l, hostData); err != nil {
		return err
	}
	if err := writePKI(l, time.Now()); err != nil {
		return err
	}
	config := settings{layout: l, Full: c.Profile == Full}
	if config.Full {
		var err error
		if config.GiteaSources, err = prepareGiteaFiles(ctx, l); err != nil {
			return err
		}
	}
	if err := writeConfigs(config); err != nil {
		return err
	}
	return writeFile(l.path("profile"), []byte(c.Profile), 0o644)
}

// savedProfile is the profile of the sandbox that is up or was left by a crash.
func savedProfile(l layout) Profile {
	text, err := os.ReadFile(l.path("profile"))
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
func useExisting(ctx context.Context, l layout, kubeconfig string) (*Cluster, error) {
	kubeconfig, err := filepath.Abs(kubeconfig)
	if err != nil {
		return nil, err
	}
	cluster := &Cluster{Kubeconfig: kubeconfig}
	client, err := cluster.clientset()
	if err != nil {
		return nil, err
	}
	if _, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return nil, fmt.Errorf("existing cluster of %s: %w", kubeconfig, err)
	}
	return cluster, errors.Join(writeFile(l.path("existing"), []byte(kubeconfig), 0o644), writeEnvironment(l, cluster))
}

// Down stops everything and removes it from the machine and its data from the
// cache. Builds, logs and the bootstrap registry's images are kept. Down when
// nothing is up is not an error.
func Down(ctx context.Context, options Options) error {
	_, l, err := options.complete()
	if err != nil {
		return err
	}
	if _, err := os.Stat(l.path("existing")); err == nil {
		// The cluster is not ours to stop.
		return errors.Join(os.Remove(l.path("existing")), os.RemoveAll(environmentFile(l)))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("root is needed to stop the sandbox; this is user %d: run it with sudo", os.Geteuid())
	}
	unlock, err := lockFile(lockPath)
	if err != nil {
		return err
	}
	defer unlock()
	owner, err := os.ReadFile(ownerPath)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if other := string(owner); other != "" && other != l.cache {
		return fmt.Errorf("the machine's sandbox belongs to the cache directory %s: take it down with SERIN_CACHE=%s", other, other)
	}
	if err := stopAll(ctx, l); err != nil {
		return err
	}
	if err := removeHostData(l); err != nil {
		return err
	}
	for _, name := range []string{
		"etcd", "containerd", "kubelet-root", "prometheus", "pki", "config", "targets", "run", "bin", "kubeconfig", "profile", "existing",
		"gitea", "gitea-access.json", "flux", "environment",
	} {
		if err := os.RemoveAll(l.path(name)); err != nil {
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
func stopAll(ctx context.Context, l layout) error {
	files, err := filepath.Glob(l.recordPath("*"))
	if err != nil {
		return err
	}
	known := parts(l, Full)
	for i := len(known) - 1; i >= 0; i-- {
		if err := l.stop(ctx, known[i].name, true); err != nil {
			return err
		}
	}
	for _, file := range files { // parts of another version of this program
		if err := l.stop(ctx, strings.TrimSuffix(filepath.Base(file), ".json"), true); err != nil {
			return err
		}
	}
	return cleanUp(ctx, l)
}

// PartStatus is one line of Status.
type PartStatus struct {
	Name    string
	Running bool
	PID     int
	Log     string
}

// Status lists the parts of the sandbox and whether each runs.
func Status(options Options) ([]PartStatus, error) {
	_, l, err := options.complete()
	if err != nil {
		return nil, err
	}
	var all []PartStatus
	for _, one := range parts(l, savedProfile(l)) {
		process, ok := l.running(one.name)
		status := PartStatus{Name: one.name, Running: ok, Log: l.log(one.name)}
		if ok {
			status.PID = process.PID
		}
		all = append(all, status)
	}
	return all, nil
}

// forwardReady waits until the forwarder listens.
func forwardReady(ctx context.Context, _ *Cluster) error {
	return until(ctx, func(ctx context.Context) error { return connects(ctx, "tcp", hostPort("127.0.0.1", apiPort)) })
}

// containerdReady waits until containerd listens.
func containerdReady(ctx context.Context, c *Cluster) error {
	return until(ctx, func(ctx context.Context) error { return connects(ctx, "unix", c.layout.containerdSocket()) })
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
	_, err := c.PushBinary(ctx, "pause:1", c.layout.tool("pause"))
	return err
}
