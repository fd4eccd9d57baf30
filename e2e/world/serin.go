package world

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
)

const (
	serinTag = "dev"
	// dataDir is on the node, which is this machine; its owner is Serin's user.
	dataDir = "data/serin"
	userID  = 65532
)

// pushSerin builds and pushes what runs beside the example.
func (w *World) pushSerin(ctx context.Context) error {
	image, err := w.Builder.Serin(ctx, serinTag)
	if err != nil {
		return err
	}
	if w.serin, err = w.pushTool(ctx, "serin", image); err != nil {
		return err
	}
	if w.command, err = w.Builder.SerinCommand(ctx, serinTag); err != nil {
		return err
	}
	if image, err = w.Builder.Load(ctx, serinTag); err != nil {
		return err
	}
	w.load, err = w.pushTool(ctx, "load", image)
	return err
}

// pushTool returns the reference with its digest: a node that has pulled the
// tag before would not pull it again.
func (w *World) pushTool(ctx context.Context, name string, image v1.Image) (string, error) {
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	reference := w.host.tools() + "/" + name + ":" + serinTag
	return reference + "@" + digest.String(), w.host.pushTool(ctx, reference, image)
}

// worldNamespaces are all that a world is in.
func worldNamespaces() []string {
	names := []string{Namespace, SerinNamespace, loadNamespace}
	for _, environment := range Environments {
		names = append(names, NamespaceOf(environment))
	}
	return names
}

// clear removes Serin and the example's namespaces, and waits until they are
// gone. Serin's objects go first, while Serin is there to let go of them.
func (w *World) clear(ctx context.Context) error {
	if err := w.host.mayClear(ctx); err != nil {
		return err
	}
	if err := w.host.clear(ctx); err != nil {
		return err
	}
	for _, list := range []client.ObjectList{&v1alpha1.PipelineList{}, &v1alpha1.RolloutList{}} {
		if err := w.deleteAll(ctx, list); err != nil {
			return err
		}
	}
	names := worldNamespaces()
	for _, name := range names {
		err := w.Client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	for _, name := range names {
		if err := Eventually(ctx, 3*time.Minute, "namespace "+name+" to be gone", func(ctx context.Context) (string, error) {
			err := w.Client.Get(ctx, types.NamespacedName{Name: name}, &corev1.Namespace{})
			if apierrors.IsNotFound(err) {
				return "", nil
			}
			return "it is still there", err
		}); err != nil {
			return err
		}
	}
	return w.host.clearVolumes(ctx)
}

// deleteAll deletes the world's objects of a kind; a kind that is not installed
// has none.
func (w *World) deleteAll(ctx context.Context, list client.ObjectList) error {
	for _, namespace := range worldNamespaces() {
		if err := w.deleteIn(ctx, namespace, list); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) deleteIn(ctx context.Context, namespace string, list client.ObjectList) error {
	if err := w.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		if isNoKind(err) {
			return nil
		}
		return err
	}
	if len(itemsOf(list)) == 0 {
		return nil
	}
	for _, object := range itemsOf(list) {
		if err := client.IgnoreNotFound(w.Client.Delete(ctx, object)); err != nil {
			return err
		}
	}
	err := Eventually(ctx, time.Minute, "Serin to let go of its objects", func(ctx context.Context) (string, error) {
		if err := w.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return "", err
		}
		return missingUnless(len(itemsOf(list)) == 0, "%d are left", len(itemsOf(list))), nil
	})
	if err == nil {
		return nil
	}
	// No Serin runs that could let go: an earlier world was ended half-way.
	for _, object := range itemsOf(list) {
		object.SetFinalizers(nil)
		if err := client.IgnoreNotFound(w.Client.Update(ctx, object)); err != nil {
			return err
		}
	}
	return nil
}

// deploySerin applies config/ as a user would, with the image of this checkout.
func (w *World) deploySerin(ctx context.Context) error {
	if err := w.host.makeVolume(); err != nil {
		return err
	}
	overlay := w.host.overlay()
	manifests, err := w.render(overlay)
	if err != nil {
		return err
	}
	if manifests, err = marked(manifests); err != nil {
		return err
	}
	if err := w.applyCRDs(ctx); err != nil {
		return err
	}
	if err := w.Apply(ctx, manifests+"\n---\n"+w.host.manifests()); err != nil {
		return err
	}
	return w.WaitForSerin(ctx)
}

// applyCRDs goes before objects of these kinds, and waits until the API server
// serves them.
func (w *World) applyCRDs(ctx context.Context) error {
	manifests, err := w.render("crd")
	if err != nil {
		return err
	}
	if manifests, err = marked(manifests); err != nil {
		return err
	}
	if err := w.Apply(ctx, manifests); err != nil {
		return err
	}
	return Eventually(ctx, time.Minute, "the API server to serve Serin's kinds", func(ctx context.Context) (string, error) {
		return "", w.Client.List(ctx, &v1alpha1.RolloutList{})
	})
}

// render builds config/<overlay> with this checkout's image.
func (w *World) render(overlay string) (string, error) {
	result, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(w.Builder.Root, "config", overlay))
	if err != nil {
		return "", err
	}
	text, err := result.AsYaml()
	if err != nil {
		return "", err
	}
	rendered := strings.ReplaceAll(string(text), "ghcr.io/serin-gitops/serin:latest", w.serin)
	if prometheus := w.options.Prometheus; prometheus != "" {
		const last = "- --embedded=/etc/serin/embedded.yaml"
		rendered = strings.Replace(rendered, last, "- --prometheus="+prometheus+"\n        "+last, 1)
	}
	return rendered, nil
}

// WaitForSerin waits until Serin's Deployment is available.
func (w *World) WaitForSerin(ctx context.Context) error {
	return Eventually(ctx, 3*time.Minute, "Serin to be ready", func(ctx context.Context) (string, error) {
		var deployment appsv1.Deployment
		if err := w.Client.Get(ctx, types.NamespacedName{Namespace: SerinNamespace, Name: "serin"}, &deployment); err != nil {
			return "", err
		}
		if deployment.Status.AvailableReplicas > 0 && deployment.Status.ObservedGeneration == deployment.Generation {
			return "", nil
		}
		var pods corev1.PodList
		if err := w.Client.List(ctx, &pods, client.InNamespace(SerinNamespace), client.MatchingLabels{"app": "serin"}); err != nil {
			return "", err
		}
		return "no replica is available" + hindrances(pods.Items), nil
	})
}

// hindrances says of each pod what keeps it from being ready, where that is known.
func hindrances(pods []corev1.Pod) string {
	var said strings.Builder
	for _, pod := range pods {
		for _, condition := range pod.Status.Conditions {
			if condition.Status != corev1.ConditionTrue && condition.Type == corev1.PodScheduled {
				fmt.Fprintf(&said, "; pod %s: %s", pod.Name, condition.Message)
			}
		}
		if pod.Status.Reason != "" { // such as Evicted
			fmt.Fprintf(&said, "; pod %s: %s: %s", pod.Name, pod.Status.Reason, pod.Status.Message)
		}
		for _, status := range pod.Status.ContainerStatuses {
			if waiting := status.State.Waiting; waiting != nil {
				fmt.Fprintf(&said, "; pod %s: %s %s", pod.Name, waiting.Reason, waiting.Message)
			}
		}
	}
	return said.String()
}

// seed pushes the example's overlays as the first commit.
func (w *World) seed(ctx context.Context) error {
	overlays := map[string]images.Overlay{}
	for _, environment := range Environments {
		overlay := w.host.exampleOverlay(environment)
		overlay.Digest = w.first
		overlays[environment] = overlay
	}
	files, err := images.DeployTree(w.Builder.Root, overlays)
	if err != nil {
		return err
	}
	if w.options.Overlays != nil {
		w.options.Overlays(files)
	}
	url, err := w.host.gitURL(ctx)
	if err != nil {
		return err
	}
	if w.Git, err = OpenGit(w.host.reach, url); err != nil {
		return err
	}
	return w.Git.Seed(ctx, files)
}

// Serin runs Serin's command line for a person: that which was built when the
// world began, so that nobody waits for a compiler amid a story, and a change to
// the sources meanwhile does not end it.
func (w *World) Serin(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, w.command, slices.Concat(args, []string{"--namespace", Namespace, "--kubeconfig", w.Kubeconfig})...)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("serin %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}
