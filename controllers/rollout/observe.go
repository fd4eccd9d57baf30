package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/obstacles"
	"github.com/serin-gitops/serin/controllers/internal/status"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/environments/rollout"
	"github.com/serin-gitops/serin/traffic"
)

// scene is what one reconcile observed: the objects, and the snapshot that the
// decision is made of.
type scene struct {
	rollout  *v1alpha1.Rollout
	workload *appsv1.Deployment
	// replicaSets of the workload, newest last.
	replicaSets []appsv1.ReplicaSet
	autoscaler  *autoscalingv2.HorizontalPodAutoscaler
	canary      *appsv1.Deployment
	// canaryPods and ownPods are the pods of the canary and of the workload
	// that are not on their way out, by name.
	canaryPods, ownPods []corev1.Pod
	target              traffic.Target
	router              traffic.Router
	reached             environments.Weight
	snapshot            rollout.Snapshot
}

// observe reads everything from the caches; it changes nothing.
func (r *Reconciler) observe(ctx context.Context, ro *v1alpha1.Rollout) (*scene, error) {
	s := &scene{rollout: ro}
	s.snapshot.Status = statusOf(ro.Status)
	s.snapshot.Request = requestOf(ro)
	s.snapshot.Deleting = ro.DeletionTimestamp != nil
	for _, look := range []func(context.Context, *scene) error{r.observeWorkload, r.observeAutoscaler, r.observeCanary, r.observeServices, r.observeRoute} {
		if err := look(ctx, s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (r *Reconciler) observeWorkload(ctx context.Context, s *scene) error {
	ro := s.rollout
	if ro.Spec.WorkloadRef.Kind != kindDeployment {
		return nil
	}
	var d appsv1.Deployment
	key := client.ObjectKey{Namespace: ro.Namespace, Name: ro.Spec.WorkloadRef.Name}
	found, err := r.read(ctx, key, &d)
	if err != nil || !found {
		return err
	}
	s.workload = &d
	if s.replicaSets, err = r.replicaSetsOf(ctx, &d); err != nil {
		return err
	}
	if s.ownPods, err = r.podsOf(ctx, &d, s.replicaSets); err != nil {
		return err
	}
	w := rollout.Workload{
		Exists: true, Paused: d.Spec.Paused, Replicas: countOf(d.Spec.Replicas),
		Labelled: labelledWell(&d), Marked: marked(&d), Held: held(&d), KeepsNone: keepsNone(&d),
		Failed: progressFailure(&d), RolledOut: rolledOut(&d),
	}
	if w.Wanted, err = revisionOf(d.Spec.Template, ""); err != nil {
		return err
	}
	if err := revisions(&w, s.snapshot.Status, s.replicaSets); err != nil {
		return err
	}
	if err := kept(&w, s.snapshot.Status, s.replicaSets); err != nil {
		return err
	}
	isNew := s.newPods()
	w.Obstacle = obstacles.OfDeployment(&d, slices.DeleteFunc(slices.Clone(s.ownPods), func(pod corev1.Pod) bool { return !isNew(pod) }))
	s.snapshot.Workload = w
	return nil
}

// revisions tells which revisions the workload's ReplicaSets run.
func revisions(w *rollout.Workload, status rollout.Status, sets []appsv1.ReplicaSet) error {
	most := int32(0)
	for _, set := range sets {
		revision, err := revisionOf(set.Spec.Template, set.Labels[appsv1.DefaultDeploymentUniqueLabelKey])
		if err != nil {
			return err
		}
		pods := max(set.Status.Replicas, countOf(set.Spec.Replicas))
		if revision.TemplateHash == w.Wanted.TemplateHash {
			w.Wanted = revision
		}
		if revision.TemplateHash == status.Canary.TemplateHash {
			w.OnCanary += pods
		}
		if revision.TemplateHash == status.Stable.TemplateHash {
			w.OnStable += pods
		}
		if pods > most {
			most, w.Running = pods, revision
		}
	}
	if w.RolledOut {
		w.Running = w.Wanted
	}
	return nil
}

// rolledOut is the native controller's own word that all pods run the template
// and are available.
func rolledOut(d *appsv1.Deployment) bool {
	want := countOf(d.Spec.Replicas)
	st := d.Status
	return !d.Spec.Paused && st.ObservedGeneration >= d.Generation &&
		st.UpdatedReplicas == want && st.Replicas == want && st.AvailableReplicas == want
}

func progressFailure(d *appsv1.Deployment) string {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded" &&
			d.Status.ObservedGeneration >= d.Generation {
			return c.Message
		}
	}
	return ""
}

func (r *Reconciler) replicaSetsOf(ctx context.Context, d *appsv1.Deployment) ([]appsv1.ReplicaSet, error) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("selector of Deployment %s/%s: %w", d.Namespace, d.Name, err)
	}
	var list appsv1.ReplicaSetList
	if err := r.List(ctx, &list, client.InNamespace(d.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, fmt.Errorf("list the ReplicaSets of Deployment %s/%s: %w", d.Namespace, d.Name, err)
	}
	own := slices.DeleteFunc(list.Items, func(set appsv1.ReplicaSet) bool { return !metav1.IsControlledBy(&set, d) })
	slices.SortFunc(own, func(a, b appsv1.ReplicaSet) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	return own, nil
}

// podsOf are the pods of a Deployment's ReplicaSets that are not on their way
// out, by name.
func (r *Reconciler) podsOf(ctx context.Context, d *appsv1.Deployment, sets []appsv1.ReplicaSet) ([]corev1.Pod, error) {
	pods, err := r.allPodsOf(ctx, d, sets)
	// One that ended was evicted, or its node was shut down: a crash is restarted
	// in its pod.
	return slices.DeleteFunc(pods, func(pod corev1.Pod) bool {
		return pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	}), err
}

// allPodsOf are the pods of a Deployment's ReplicaSets, by name.
func (r *Reconciler) allPodsOf(ctx context.Context, d *appsv1.Deployment, sets []appsv1.ReplicaSet) ([]corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("selector of Deployment %s/%s: %w", d.Namespace, d.Name, err)
	}
	var list corev1.PodList
	if err := r.List(ctx, &list, client.InNamespace(d.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, fmt.Errorf("list the pods of Deployment %s/%s: %w", d.Namespace, d.Name, err)
	}
	pods := slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool {
		return !slices.ContainsFunc(sets, func(set appsv1.ReplicaSet) bool { return metav1.IsControlledBy(&pod, &set) })
	})
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods, nil
}

func (r *Reconciler) observeCanary(ctx context.Context, s *scene) error {
	var d appsv1.Deployment
	key := client.ObjectKey{Namespace: s.rollout.Namespace, Name: s.rollout.Spec.WorkloadRef.Name + canarySuffix}
	found, err := r.read(ctx, key, &d)
	if err != nil || !found {
		return err
	}
	// One that a Rollout before left on its way out is waited for, as one's own is.
	leaving := d.DeletionTimestamp != nil && d.Labels[v1alpha1.LabelArm] == armCanary
	if !metav1.IsControlledBy(&d, s.rollout) && !leaving {
		if s.snapshot.Deleting {
			// It is nothing that this Rollout took.
			return nil
		}
		return fmt.Errorf("the Deployment %s is in the way of the canary and not Serin's: rename or delete it", key)
	}
	sets, err := r.replicaSetsOf(ctx, &d)
	if err != nil {
		return err
	}
	if s.canaryPods, err = r.podsOf(ctx, &d, sets); err != nil {
		return err
	}
	s.canary = &d
	c := rollout.Canary{
		Exists: true, Deleting: d.DeletionTimestamp != nil,
		TemplateHash: d.Annotations[v1alpha1.AnnotationTemplate], Replicas: countOf(d.Spec.Replicas),
		Obstacle: obstacles.OfDeployment(&d, s.canaryPods),
	}
	if c.Deleting {
		if c.Ending, c.Stranded, err = r.ending(ctx, &d, sets); err != nil {
			return err
		}
	}
	for _, pod := range s.canaryPods {
		c.Pods = append(c.Pods, rollout.Pod{
			Name: pod.Name, ContainersReady: status.PodIs(&pod, corev1.ContainersReady),
			Open: status.PodIs(&pod, v1alpha1.GateTraffic), Ready: status.PodIs(&pod, corev1.PodReady), ReadySince: readySince(&pod),
		})
	}
	s.snapshot.Canary = c
	return nil
}

func (r *Reconciler) observeServices(ctx context.Context, s *scene) error {
	if !routed(s.rollout) {
		return nil
	}
	var stable, canary corev1.Service
	namespace, name := s.rollout.Namespace, s.rollout.Spec.WorkloadRef.Name
	foundStable, err := r.read(ctx, client.ObjectKey{Namespace: namespace, Name: name + stableSuffix}, &stable)
	if err != nil {
		return err
	}
	foundCanary, err := r.read(ctx, client.ObjectKey{Namespace: namespace, Name: name + canarySuffix}, &canary)
	if err != nil {
		return err
	}
	hash := stable.Spec.Selector[appsv1.DefaultDeploymentUniqueLabelKey]
	// Foreign ones are said to be in the way by the attempt to make them. Of one
	// whose mark another hand took off, the endpoints are not seen.
	own := ownService(&stable, s.rollout) && ownService(&canary, s.rollout)
	s.snapshot.Services = rollout.Services{Exist: foundStable && foundCanary && own, Narrow: hash != ""}
	return r.observeEndpoints(ctx, s)
}

func (r *Reconciler) observeRoute(ctx context.Context, s *scene) error {
	ro := s.rollout
	name := ro.Spec.WorkloadRef.Name
	s.target = traffic.Target{
		Namespace: ro.Namespace, Service: ro.Spec.Traffic.Service, Stable: name + stableSuffix, Canary: name + canarySuffix,
		StableReplicas: s.snapshot.Workload.Replicas,
	}
	s.router = r.Replicas
	if route := ro.Spec.Traffic.RouteRef; route != nil {
		s.target.Kind, s.target.Route = route.Kind, route.Name
		s.router = r.Gateway
	}
	s.snapshot.Spec = specOf(ro, s.router, s.target)
	if !routed(ro) && ro.Spec.Traffic.Service == "" {
		s.reached = traffic.ShareOf(servingPods(s.ownPods), s.snapshot.Canary.Serving())
		s.snapshot.Route = rollout.Route{Released: true, Reached: true}
		return nil
	}
	state, err := s.router.Observe(ctx, s.target, s.snapshot.Status.Weight)
	switch {
	case errors.Is(err, traffic.ErrNotFound):
		// A route that is not there sends nothing to anybody.
		s.snapshot.Route = rollout.Route{Missing: true, Released: true, Message: err.Error()}
	case err != nil:
		s.snapshot.Route = rollout.Route{Unknown: err.Error()}
	default:
		s.snapshot.Route = rollout.Route{Weight: state.Weight, Reached: state.Reached, Released: state.Released, Refused: state.Refused, Foreign: state.Foreign, Message: state.Message}
		if state.Reached {
			s.reached = state.Weight
		}
	}
	return nil
}

// read gets an object; it fails with errBehind where the cache is older than
// what this process wrote.
func (r *Reconciler) read(ctx context.Context, key client.ObjectKey, object client.Object) (bool, error) {
	err := r.Get(ctx, key, object)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read %T %s: %w", object, key, err)
	case r.written.behind(object):
		return false, errBehind{object: fmt.Sprintf("%T %s", object, key)}
	}
	return true, nil
}

func servingPods(pods []corev1.Pod) int32 {
	var n int32
	for i := range pods {
		if status.PodIs(&pods[i], corev1.PodReady) {
			n++
		}
	}
	return n
}

// countOf is a number of replicas that the API server fills in with 1.
func countOf(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
