package world

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
)

// DemoLabel is on every namespace that a world made in a cluster that is
// somebody else's, which clears no other; and on those of a sandbox's added lines,
// for a later world to clear.
const DemoLabel = "serin.dev/demo"

// existing is a cluster that is somebody else's, which has a registry and a
// Prometheus. Git server and sync are Serin's own; nothing is asked of the
// node, and nothing is removed that the world did not make.
type existing struct {
	embedded

	// forward leads to Serin's Git server.
	forward *exec.Cmd
	// run is in the name of the example's image: the registry may keep what an
	// earlier demo pushed, whose newest version would be promoted at once.
	run string
}

// mayClear refuses to go on where something of the world's name is another's, or
// where the cluster lacks what Serin needs.
func (e *existing) mayClear(ctx context.Context) error {
	if e.w.options.Registry == "" {
		return errors.New("an existing cluster needs a registry that its nodes pull from without a login and that this machine can push to: " +
			"make demo KUBECONFIG=... REGISTRY=host/path (http://host/path where it has no TLS; and REGISTRY_PUSH=host/path where it has another name here)")
	}
	if err := e.w.refuseOthers(ctx); err != nil {
		return err
	}
	for _, name := range worldNamespaces() {
		var namespace corev1.Namespace
		switch err := e.w.Client.Get(ctx, types.NamespacedName{Name: name}, &namespace); {
		case apierrors.IsNotFound(err):
		case err != nil:
			return err
		case namespace.Labels[DemoLabel] == "":
			return fmt.Errorf("namespace %s is in the cluster already and not the demo's: remove it, or label it %s=true for the demo to remove it", name, DemoLabel)
		}
	}
	if err := e.w.Client.List(ctx, &admissionv1.MutatingAdmissionPolicyList{}, client.Limit(1)); err != nil {
		return fmt.Errorf("the cluster does not serve MutatingAdmissionPolicy in admissionregistration.k8s.io/v1, by which Serin holds revisions: %w", err)
	}
	return nil
}

func (e *existing) overlay() string { return "../e2e/world/existing" }

func (e *existing) manifests() string {
	text := e.configuration("") + e.users() + e.credentials(Namespace)
	for _, name := range worldNamespaces() {
		text += fmt.Sprintf("---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {%s: \"true\"}}\n", name, DemoLabel)
	}
	return text
}

// plain begins a registry that is spoken to without TLS.
const plain = "http://"

func (e *existing) tools() string { return strings.TrimPrefix(e.w.options.Registry, plain) }

func (e *existing) imageRepository(l *Line) string { return e.tools() + "/" + l.image + "-" + e.run }

// pushTool pushes to the registry by the name that it has here, as whom
// "docker login" knows.
func (e *existing) pushTool(ctx context.Context, reference string, image v1.Image) error {
	here := cmp.Or(e.w.options.RegistryPush, e.w.options.Registry)
	var options []name.Option
	if strings.HasPrefix(here, plain) {
		options = append(options, name.Insecure)
	}
	reference = strings.TrimPrefix(here, plain) + strings.TrimPrefix(reference, e.tools())
	parsed, err := name.ParseReference(reference, options...)
	if err != nil {
		return fmt.Errorf("image reference %q: %w", reference, err)
	}
	if err := remote.Write(parsed, image, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return fmt.Errorf("push %s: %w", reference, err)
	}
	return nil
}

func (e *existing) push(ctx context.Context, reference string, image v1.Image) error {
	return e.pushTool(ctx, reference, image)
}

func (e *existing) exampleOverlay(l *Line, environment string) images.Overlay {
	overlay := e.embedded.exampleOverlay(l, environment)
	overlay.NewName = e.imageRepository(l)
	overlay.Components[slices.Index(overlay.Components, "hostpath")] = "ephemeral"
	return overlay
}

// adapt looks often, since that registry tells of no push.
func (e *existing) adapt(pipeline *v1alpha1.Pipeline) {
	pipeline.Spec.Interval = metav1.Duration{Duration: 5 * time.Second}
	image := &pipeline.Spec.Images[0]
	image.Repository, image.Endpoint = e.imageRepository(e.w.Line), ""
	image.Insecure = strings.HasPrefix(e.w.options.Registry, plain)
}

// reach starts a process here.
func (e *existing) reach(ctx context.Context, argv ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Env = os.Environ()
	return command
}

// forwarded is the line by which kubectl says where it listens.
var forwarded = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) `)

// gitURL leads to the Git server through the API server, by kubectl.
func (e *existing) gitURL(ctx context.Context, l *Line) (string, error) {
	e.forward = exec.CommandContext(ctx, e.w.Kubectl, "--kubeconfig="+e.w.Kubeconfig, "port-forward",
		"--namespace="+SerinNamespace, "--address=127.0.0.1", "deployment/serin", ":3000")
	out, err := e.forward.StdoutPipe()
	if err != nil {
		return "", err
	}
	e.forward.Stderr = e.w.options.Progress
	if err := e.forward.Start(); err != nil {
		return "", fmt.Errorf("kubectl port-forward: %w", err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if match := forwarded.FindStringSubmatch(lines.Text()); match != nil {
			// It says so again for every connection.
			go func() {
				for lines.Scan() {
				}
			}()
			return fmt.Sprintf("http://%s:%s@%s/%s.git", gitUser, e.password, match[1], l.repository), nil
		}
	}
	return "", errors.Join(errors.New("kubectl port-forward to Serin's Git server ended"), lines.Err(), e.close())
}

func (e *existing) close() error {
	if e.forward == nil || e.forward.Process == nil {
		return nil
	}
	if err := e.forward.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	// Killed: how it ended is known.
	_ = e.forward.Wait()
	return nil
}

// statsOf asks the pod through the API server.
func (e *existing) statsOf(pod *corev1.Pod) (url string, transport http.RoundTripper, err error) {
	config, err := e.w.RESTConfig()
	if err != nil {
		return "", nil, err
	}
	transport, err = rest.TransportFor(config)
	return fmt.Sprintf("%s/api/v1/namespaces/%s/pods/%s:%d/proxy", strings.TrimSuffix(config.Host, "/"), pod.Namespace, pod.Name, loadPort), transport, err
}

func (e *existing) makeVolume() error { return nil }

// clearVolumes has nothing to do: the world asks for no volume.
func (e *existing) clearVolumes(context.Context) error { return nil }
