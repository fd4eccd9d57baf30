package world

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
)

const (
	// deployRepository and imageName are the first line's.
	deployRepository = "deploy"
	imageName        = "ipfs-kit"
	// firstVersion runs in every environment when a line begins.
	firstVersion = "v1.0.0"
	// patience is how long a line may take to begin; shared machines are slow.
	patience = 8 * time.Minute
)

// Line is what a release travels along: an image, a deploy repository, a Pipeline
// and the namespaces of its environments. Lines of a world share nothing but the
// cluster and Serin.
type Line struct {
	// Git is the deploy repository as a person sees it.
	Git *Git

	w *World
	// read is where what the line waits for is read.
	read client.Reader
	// name is the Pipeline's namespace, and begins those of the environments.
	name         string
	image        string
	repository   string
	environments []string
	// first is the digest of the first version.
	first string
}

// Begin adds one of Options.Lines. It waits until the first version runs in each of
// its environments.
func (w *World) Begin(ctx context.Context, name string) (*Line, error) {
	servers, ok := w.host.(*embedded)
	at := slices.IndexFunc(w.options.Lines, func(o LineOptions) bool { return o.Name == name })
	if !ok || at < 0 {
		return nil, fmt.Errorf("line %q is not among Options.Lines, or the host is not the light sandbox's", name)
	}
	l := &Line{w: w, read: w.Watched, name: name, image: name, repository: name, environments: w.options.Lines[at].Environments}
	if err := l.pushFirst(ctx); err != nil {
		return nil, err
	}
	if err := l.seed(ctx); err != nil {
		return l, err
	}
	if err := w.Apply(ctx, servers.credentials(name)); err != nil {
		return l, err
	}
	return l, l.applyPipeline(ctx)
}

// Close removes the person's clone; the line goes on in the cluster.
func (l *Line) Close() error {
	if l.Git == nil {
		return nil
	}
	return l.Git.Close()
}

// Now is the line as the API server has it at this moment, to tell what has not
// happened: what is watched comes a moment late, and not in order.
func (l *Line) Now() *Line {
	now := *l
	now.read = l.w.Client
	return &now
}

// Namespace is the Pipeline's, its Releases' and Promotions'.
func (l *Line) Namespace() string { return l.name }

// NamespaceOf is the namespace of an environment's workloads.
func (l *Line) NamespaceOf(environment string) string { return namespaceOf(l.name, environment) }

func namespaceOf(line, environment string) string { return line + "-" + environment }

// ImageRepository is the example's image as manifests name it.
func (l *Line) ImageRepository() string { return l.w.host.imageRepository(l) }

// PushImage builds a version of the example in a variant and pushes it as a
// developer's CI does. It returns the digest.
func (l *Line) PushImage(ctx context.Context, version string, variant images.Variant) (string, error) {
	image, err := l.w.build(ctx, version, variant)
	if err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	return digest.String(), l.w.host.push(ctx, l.ImageRepository()+":"+version, image)
}

func (l *Line) pushFirst(ctx context.Context) (err error) {
	l.first, err = l.PushImage(ctx, firstVersion, images.Good)
	return err
}

// seed pushes the example's overlays as the first commit.
func (l *Line) seed(ctx context.Context) error {
	overlays := map[string]images.Overlay{}
	for _, environment := range Environments {
		overlay := l.w.host.exampleOverlay(l, environment)
		overlay.Digest = l.first
		overlays[environment] = overlay
	}
	files, err := images.DeployTree(l.w.Builder.Root, overlays)
	if err != nil {
		return err
	}
	l.rename(files)
	if l.w.options.Overlays != nil {
		l.w.options.Overlays(files)
	}
	url, err := l.w.host.gitURL(ctx, l)
	if err != nil {
		return err
	}
	if l.Git, err = OpenGit(l.w.host.reach, url); err != nil {
		return err
	}
	return l.Git.Seed(ctx, files)
}

// rename gives the overlays of a line that was added namespaces of its own, marked
// for a later world to remove.
func (l *Line) rename(files map[string][]byte) {
	if l.name == Namespace {
		return
	}
	for path, text := range files {
		environment, _, found := strings.Cut(strings.TrimPrefix(path, "deploy/overlays/"), "/")
		if !found || !slices.Contains(Environments, environment) {
			continue
		}
		for _, change := range [][2]string{
			{namespaceOf(Namespace, environment), l.NamespaceOf(environment)},
			{v1alpha1.AnnotationAllowPipelines + ": " + Namespace, v1alpha1.AnnotationAllowPipelines + ": " + l.name},
			{"  annotations:\n", "  labels: {" + DemoLabel + ": \"true\"}\n  annotations:\n"},
		} {
			text = bytes.ReplaceAll(text, []byte(change[0]), []byte(change[1]))
		}
		files[path] = text
	}
}

// applyPipeline creates the example's Pipeline and waits until what Git has
// runs in every environment.
func (l *Line) applyPipeline(ctx context.Context) error {
	if err := l.w.host.prepare(ctx); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(l.w.Builder.Root, "examples", "ipfs-kit", "pipeline.yaml"))
	if err != nil {
		return err
	}
	pipeline := &v1alpha1.Pipeline{}
	if err := yaml.UnmarshalStrict(text, pipeline); err != nil {
		return fmt.Errorf("examples/ipfs-kit/pipeline.yaml: %w", err)
	}
	pipeline.Namespace = l.name
	source := &pipeline.Spec.Source
	source.URL = strings.Replace(source.URL, "/"+deployRepository+".git", "/"+l.repository+".git", 1)
	pipeline.Spec.Images[0].Repository = l.ImageRepository()
	pipeline.Spec.Environments = slices.DeleteFunc(pipeline.Spec.Environments, func(e v1alpha1.Environment) bool { return !slices.Contains(l.environments, e.Name) })
	l.w.host.adapt(pipeline)
	if err := l.w.Client.Create(ctx, pipeline); err != nil {
		return err
	}
	for _, environment := range l.environments {
		if err := l.WaitHealthy(ctx, environment, firstVersion, patience); err != nil {
			return err
		}
	}
	// A release that is pushed before these have ended waits for them, and what is
	// measured from its push would be that.
	return Eventually(ctx, patience, "the promotions of "+firstVersion+" to succeed", func(ctx context.Context) (string, error) {
		var promotions v1alpha1.PromotionList
		if err := l.read.List(ctx, &promotions, client.InNamespace(l.name)); err != nil {
			return "", err
		}
		if len(promotions.Items) < len(l.environments) {
			return fmt.Sprintf("there are %d", len(promotions.Items)), nil
		}
		for _, p := range promotions.Items {
			if p.Status.Phase != v1alpha1.PromotionSucceeded {
				return fmt.Sprintf("%s is %s: %s", p.Name, p.Status.Phase, p.Status.Message), nil
			}
		}
		return "", nil
	})
}

// Serin runs Serin's command line for a person: that which was built when the
// world began, so that nobody waits for a compiler amid a story, and a change to
// the sources meanwhile does not end it.
func (l *Line) Serin(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, l.w.command, slices.Concat(args, []string{"--namespace", l.name, "--kubeconfig", l.w.Kubeconfig})...)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("serin %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}
