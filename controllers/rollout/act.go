package rollout

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments/rollout"
)

// act carries out one mutation. Each is idempotent; one that rests on an object
// as it was read fails with a conflict where that has changed since.
func (r *Reconciler) act(ctx context.Context, s *scene, a rollout.Action) error {
	switch a.Do {
	case rollout.Nothing:
		return nil
	case rollout.Label:
		return r.patchWorkload(ctx, s, mark)
	case rollout.EnsureServices:
		return r.ensureServices(ctx, s, a.Narrow)
	case rollout.HoldFloor:
		return r.holdFloor(ctx, s, a.Replicas)
	case rollout.ReleaseFloor:
		return r.releaseFloor(ctx, s)
	case rollout.CreateCanary:
		return r.createCanary(ctx, s, a.Replicas)
	case rollout.ScaleCanary:
		return r.scaleCanary(ctx, s, a.Replicas)
	case rollout.OpenGate:
		return r.Gate.Set(ctx, s.rollout.Namespace, a.Pod, true)
	case rollout.SetWeight:
		return s.router.Set(ctx, s.target, a.Weight)
	case rollout.StopTraffic:
		return r.stopTraffic(ctx, s)
	case rollout.Unhold:
		return r.patchWorkload(ctx, s, unhold)
	case rollout.ReturnToStable:
		return r.returnToStable(ctx, s)
	case rollout.ReleaseRoute:
		return s.router.Release(ctx, s.target)
	case rollout.DeleteCanary:
		return r.deleteCanary(ctx, s, metav1.DeletePropagationForeground)
	case rollout.AbandonCanary:
		// Deleted once more in the background, the Deployment does not wait for its
		// pods any longer; these stay marked for deletion, and none is forced.
		return r.deleteCanary(ctx, s, metav1.DeletePropagationBackground)
	case rollout.Forget:
		return r.patchWorkload(ctx, s, unmark)
	case rollout.LetGo:
		return r.letGo(ctx, s.rollout)
	}
	return fmt.Errorf("rollout %s/%s: the plan has an action %q that is not known", s.rollout.Namespace, s.rollout.Name, a.Do)
}

// patchWorkload changes the user's workload as it was read.
func (r *Reconciler) patchWorkload(ctx context.Context, s *scene, change func(*appsv1.Deployment)) error {
	next := s.workload.DeepCopy()
	change(next)
	return r.patch(ctx, s.workload, next)
}

func (r *Reconciler) patch(ctx context.Context, before, next client.Object) error {
	base, ok := before.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("copy of %T is no object of the API", before)
	}
	if err := r.Patch(ctx, next, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("change %T %s/%s: %w", before, before.GetNamespace(), before.GetName(), err)
	}
	r.written.note(next)
	return nil
}

func setLabel(object client.Object, key, value string) {
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[key] = value
	object.SetLabels(labels)
}

func (r *Reconciler) ensureServices(ctx context.Context, s *scene, narrow bool) error {
	var user corev1.Service
	key := client.ObjectKey{Namespace: s.rollout.Namespace, Name: s.rollout.Spec.Traffic.Service}
	if err := r.Get(ctx, key, &user); err != nil {
		return fmt.Errorf("read Service %s of traffic.service: %w", key, err)
	}
	if len(user.Spec.Selector) == 0 {
		return fmt.Errorf("the Service %s of traffic.service selects no pods: name one with a selector", key)
	}
	var stable map[string]string
	if narrow {
		hash := r.podTemplateHash(s)
		if hash == "" {
			return fmt.Errorf("rollout %s/%s: the ReplicaSet of stable is gone, so its pods cannot be told from others", s.rollout.Namespace, s.rollout.Name)
		}
		stable = map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: hash}
	}
	return errors.Join(
		r.ensureService(ctx, s, serviceOf(s.rollout, &user, s.target.Canary, canaryLabels(s.rollout))),
		r.ensureService(ctx, s, serviceOf(s.rollout, &user, s.target.Stable, stable)))
}

// podTemplateHash is the label of the pods that run stable.
func (r *Reconciler) podTemplateHash(s *scene) string {
	if hash := s.snapshot.Status.Stable.PodTemplateHash; hash != "" {
		return hash
	}
	for _, set := range s.replicaSets {
		if hash, err := hashOf(set.Spec.Template); err == nil && hash == s.snapshot.Status.Stable.TemplateHash {
			return set.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
		}
	}
	return ""
}

func (r *Reconciler) ensureService(ctx context.Context, s *scene, want *corev1.Service) error {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: want.Namespace, Name: want.Name}}
	_, err := controllerutil.CreateOrPatch(ctx, r.Client, service, func() error {
		if service.ResourceVersion != "" && !metav1.IsControlledBy(service, s.rollout) {
			return fmt.Errorf("it is not Serin's: rename or delete it")
		}
		service.Labels, service.OwnerReferences = want.Labels, want.OwnerReferences
		service.Spec.Selector, service.Spec.Ports = want.Spec.Selector, want.Spec.Ports
		return nil
	})
	if err != nil {
		return fmt.Errorf("make Service %s/%s: %w", want.Namespace, want.Name, err)
	}
	r.written.note(service)
	return nil
}

func (r *Reconciler) createCanary(ctx context.Context, s *scene, n int32) error {
	canary := canaryOf(s.rollout, s.workload, s.snapshot.Workload.Wanted.TemplateHash, n)
	err := r.Create(ctx, canary)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the canary %s/%s: %w", canary.Namespace, canary.Name, err)
	}
	return nil
}

func (r *Reconciler) scaleCanary(ctx context.Context, s *scene, n int32) error {
	next := s.canary.DeepCopy()
	next.Spec.Replicas = &n
	return r.patch(ctx, s.canary, next)
}

// stopTraffic takes the canary out of traffic: its weight first, then its gates;
// neither waits for the other to succeed.
func (r *Reconciler) stopTraffic(ctx context.Context, s *scene) error {
	var failures []error
	if routed(s.rollout) && (s.snapshot.Route.Weight > 0 || s.snapshot.Route.Unknown != "") {
		failures = append(failures, s.router.Set(ctx, s.target, 0))
	}
	for _, pod := range s.snapshot.Canary.Pods {
		if pod.Open {
			failures = append(failures, r.Gate.Set(ctx, s.rollout.Namespace, pod.Name, false))
		}
	}
	return errors.Join(failures...)
}

// returnToStable gives the workload the template of stable again.
// The admission policy holds that too; it is resumed at the next look.
func (r *Reconciler) returnToStable(ctx context.Context, s *scene) error {
	template, err := stableTemplate(s.snapshot.Status, s.replicaSets)
	if err != nil {
		return err
	}
	if template == nil {
		return fmt.Errorf("rollout %s/%s: the template of stable is gone with its ReplicaSet", s.rollout.Namespace, s.rollout.Name)
	}
	return r.patchWorkload(ctx, s, func(d *appsv1.Deployment) { d.Spec.Template = *template })
}

func (r *Reconciler) deleteCanary(ctx context.Context, s *scene, how metav1.DeletionPropagation) error {
	uid := s.canary.UID
	err := r.Delete(ctx, s.canary, client.Preconditions{UID: &uid}, client.PropagationPolicy(how))
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete the canary %s/%s: %w", s.canary.Namespace, s.canary.Name, err)
	}
	return nil
}

func (r *Reconciler) letGo(ctx context.Context, ro *v1alpha1.Rollout) error {
	if !controllerutil.ContainsFinalizer(ro, v1alpha1.Finalizer) {
		return nil
	}
	next := ro.DeepCopy()
	controllerutil.RemoveFinalizer(next, v1alpha1.Finalizer)
	return r.patch(ctx, ro, next)
}
