package world

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/e2e/sandbox"
)

// sandboxed is what the hosts in a sandbox of ours have in common: the node is
// this machine, and all of the cluster is ours.
type sandboxed struct{ w *World }

func (s sandboxed) mayClear(context.Context) error { return nil }

func (s sandboxed) tools() string { return sandbox.BootstrapPrefix }

func (s sandboxed) pushTool(ctx context.Context, reference string, image v1.Image) error {
	return s.w.Push(ctx, reference, image)
}

// reach starts a process in the sandbox's network.
func (s sandboxed) reach(ctx context.Context, argv ...string) *exec.Cmd {
	return s.w.Command(ctx, argv...)
}

func (s sandboxed) statsOf(pod *corev1.Pod) (url string, transport http.RoundTripper, err error) {
	if pod.Status.PodIP == "" {
		return "", nil, fmt.Errorf("pod %s has no address yet: %s", pod.Name, pod.Status.Phase)
	}
	return fmt.Sprintf("http://%s:%d", pod.Status.PodIP, loadPort), s.w.Transport(), nil
}

// makeVolume makes the directory on the node that Serin's volume is.
func (s sandboxed) makeVolume() error {
	if err := os.MkdirAll(s.dataPath(), 0o750); err != nil {
		return err
	}
	return os.Chown(s.dataPath(), userID, userID)
}

func (s sandboxed) clearVolumes(ctx context.Context) error {
	var volumes corev1.PersistentVolumeList
	if err := s.w.Client.List(ctx, &volumes); err != nil {
		return err
	}
	for i := range volumes.Items {
		if err := client.IgnoreNotFound(s.w.Client.Delete(ctx, &volumes.Items[i])); err != nil {
			return err
		}
	}
	if err := os.RemoveAll("/var/lib/ipfs-kit"); err != nil {
		return err
	}
	return os.RemoveAll(s.dataPath())
}

func (s sandboxed) dataPath() string { return filepath.Join(cacheOf(s.w.Builder.Root), dataDir) }

func (s sandboxed) close() error { return nil }
