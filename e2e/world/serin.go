package world

import (
	"context"
	"fmt"
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

// worldNamespaces are all that a world is in, but for those of lines that were added.
func worldNamespaces() []string {
	names := []string{Namespace, SerinNamespace, loadNamespace}
	for _, environment := range Environments {
		names = append(names, namespaceOf(Namespace, environment))
	}
	return names
}

// namespaces are those in which something of this world or an earlier one may be. In
// a cluster that is somebody else's there are no added lines.
func (w *World) namespaces(ctx context.Context) ([]string, error) {
	names := worldNamespaces()
	if w.options.Kubeconfig != "" {
		return names, nil
	}
	var marked corev1.NamespaceList
	if err := w.Client.List(ctx, &marked, client.MatchingLabels{DemoLabel: "true"}); err != nil {
		return nil, err
	}
	for _, namespace := range marked.Items {
		if !slices.Contains(names, namespace.Name) {
			names = append(names, namespace.Name)
		}
	}
	return names, nil
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
	names, err := w.namespaces(ctx)
	if err != nil {
		return err
	}
	for _, list := range []client.ObjectList{&v1alpha1.PipelineList{}, &v1alpha1.RolloutList{}} {
		if err := w.deleteAll(ctx, names, list); err != nil {
			return err
		}
	}
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

// deleteAll deletes the namespaces' objects of a kind; a kind that is not installed
// has none.
func (w *World) deleteAll(ctx context.Context, namespaces []string, list client.ObjectList) error {
	left := func(ctx context.Context) ([]client.Object, error) {
		if err := w.Client.List(ctx, list); err != nil && !isNoKind(err) {
			return nil, err
		}
		return slices.DeleteFunc(itemsOf(list), func(o client.Object) bool { return !slices.Contains(namespaces, o.GetNamespace()) }), nil
	}
	objects, err := left(ctx)
	if err != nil || len(objects) == 0 {
		return err
	}
	for _, object := range objects {
		if err := client.IgnoreNotFound(w.Client.Delete(ctx, object)); err != nil {
			return err
		}
	}
	if Eventually(ctx, time.Minute, "Serin to let go of its objects", func(ctx context.Context) (string, error) {
		now, err := left(ctx)
		if err != nil {
			return "", err
		}
		objects = now
		return missingUnless(len(objects) == 0, "%d are left", len(objects)), nil
	}) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// No Serin runs that could let go: an earlier world was ended half-way.
	for _, object := range objects {
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
