package world

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/e2e/load"
)

const (
	loadNamespace = "load"
	loadPort      = 8090
)

// Traffic is people's requests to an environment, sent by a pod in the cluster.
type Traffic struct {
	w   *World
	pod string
}

// StartTraffic sends rate requests a second to an environment's workers for at
// most the duration, and waits until the first is answered.
func (w *World) StartTraffic(ctx context.Context, environment string, rate int, duration time.Duration) (*Traffic, error) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: loadNamespace}}
	if err := client.IgnoreAlreadyExists(w.Client.Create(ctx, namespace)); err != nil {
		return nil, err
	}
	url, err := w.host.loadURL(ctx, environment)
	if err != nil {
		return nil, err
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "load-" + environment + "-", Namespace: loadNamespace},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: new(int64(1)),
			Containers: []corev1.Container{{
				Name: "load", Image: w.load,
				Args: []string{"--url=" + url, fmt.Sprintf("--rate=%d", rate), "--duration=" + duration.String()},
			}},
		},
	}
	if err := w.Client.Create(ctx, pod); err != nil {
		return nil, err
	}
	traffic := &Traffic{w: w, pod: pod.Name}
	return traffic, Eventually(ctx, 2*time.Minute, "the first answered request", func(ctx context.Context) (string, error) {
		stats, err := traffic.Stats(ctx)
		if err != nil {
			return "", err
		}
		return missingUnless(stats.Requests > stats.Version("").Requests, "%d requests, none answered", stats.Requests), nil
	})
}

// Stats are the counts so far.
func (t *Traffic) Stats(ctx context.Context) (load.Stats, error) {
	var pod corev1.Pod
	if err := t.w.Client.Get(ctx, types.NamespacedName{Namespace: loadNamespace, Name: t.pod}, &pod); err != nil {
		return load.Stats{}, err
	}
	url, transport, err := t.w.host.statsOf(&pod)
	if err != nil {
		return load.Stats{}, err
	}
	return load.Load(ctx, url, load.WithTransport(transport))
}

// Stop ends the traffic; its last counts are returned.
func (t *Traffic) Stop(ctx context.Context) (load.Stats, error) {
	stats, err := t.Stats(ctx)
	if err != nil {
		return stats, err
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: loadNamespace, Name: t.pod}}
	return stats, client.IgnoreNotFound(t.w.Client.Delete(ctx, pod))
}
