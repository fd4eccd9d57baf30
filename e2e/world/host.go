package world

import (
	"context"
	"crypto/rand"
	"net/http"
	"os/exec"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
	"github.com/serin-gitops/serin/e2e/sandbox"
)

// host is what differs between the profiles: where Git and images are, and what
// applies Git to the cluster.
type host interface {
	// mayClear refuses to go on where the world must not touch the cluster.
	mayClear(ctx context.Context) error
	// clear removes what an earlier world left outside the cluster's namespaces.
	clear(ctx context.Context) error
	// overlay of config/ that Serin is installed from, and more manifests.
	overlay() string
	manifests() string
	// imageRepository is a line's image as manifests name it.
	imageRepository(l *Line) string
	push(ctx context.Context, reference string, image v1.Image) error
	// gitURL is a line's deploy repository from the node, with credentials; it is
	// made where it is missing.
	gitURL(ctx context.Context, l *Line) (string, error)
	exampleOverlay(l *Line, environment string) images.Overlay
	// adapt turns the example's Pipeline, as a line has it, into this world's.
	adapt(pipeline *v1alpha1.Pipeline)
	// prepare makes what the Pipeline and the cluster need beside it.
	prepare(ctx context.Context) error
	// merge approves a promotion as a person on that host does.
	merge(ctx context.Context, l *Line, promotion *v1alpha1.Promotion) error
	// loadURL is where people's traffic to an environment goes.
	loadURL(ctx context.Context, environment string) (string, error)
	// tools is where images other than the example's are pulled from;
	// pushTool pushes one there by its reference.
	tools() string
	pushTool(ctx context.Context, reference string, image v1.Image) error
	// reach prepares a process for which gitURL can be reached.
	reach(ctx context.Context, argv ...string) *exec.Cmd
	// statsOf is where the counts of a pod that sends traffic are.
	statsOf(pod *corev1.Pod) (url string, transport http.RoundTripper, err error)
	// makeVolume makes what Serin's volume needs; clearVolumes removes what
	// volumes leave.
	makeVolume() error
	clearVolumes(ctx context.Context) error
	// close ends what gitURL began.
	close() error
}

func newHost(w *World) host {
	if w.options.Kubeconfig != "" {
		return &existing{embedded: newEmbedded(w), run: strings.ToLower(rand.Text()[:8])}
	}
	if w.options.Profile == sandbox.Full { // the cluster may have more parts than were asked for
		return &gitea{sandboxed{w}}
	}
	e := newEmbedded(w)
	return &e
}

func newEmbedded(w *World) embedded { return embedded{sandboxed: sandboxed{w}, password: rand.Text()} }
