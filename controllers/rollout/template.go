package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments/rollout"
)

const (
	kindDeployment = "Deployment"

	armCanary = "canary"
	managedBy = "app.kubernetes.io/managed-by"
	manager   = "serin"
	// armSuffix names what belongs to an arm, after the workload.
	canarySuffix, stableSuffix = "-canary", "-stable"
)

// hashOf is Serin's own hash of a pod template: equal for the template in a
// Deployment and for the one in the ReplicaSet that was made from it.
func hashOf(template corev1.PodTemplateSpec) (string, error) {
	if _, found := template.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; found {
		template = *template.DeepCopy()
		delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	}
	text, err := json.Marshal(template)
	if err != nil {
		return "", fmt.Errorf("hash the pod template: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// revisionOf describes a pod template; podTemplateHash is empty where unknown.
func revisionOf(template corev1.PodTemplateSpec, podTemplateHash string) (rollout.Revision, error) {
	hash, err := hashOf(template)
	if err != nil {
		return rollout.Revision{}, err
	}
	revision := rollout.Revision{TemplateHash: hash, PodTemplateHash: podTemplateHash}
	for _, container := range template.Spec.Containers {
		revision.Images = append(revision.Images, container.Image)
	}
	return revision, nil
}

// canaryLabels select what belongs to the canary of a Rollout.
func canaryLabels(ro *v1alpha1.Rollout) map[string]string {
	return map[string]string{v1alpha1.LabelArm: armCanary, v1alpha1.LabelRollout: ro.Name}
}

// canaryOf makes the canary: a Deployment of the held template whose pods bear
// two labels more and wait at a gate until they are admitted to traffic.
func canaryOf(ro *v1alpha1.Rollout, workload *appsv1.Deployment, hash string, replicas int32) *appsv1.Deployment {
	selector := workload.Spec.Selector.DeepCopy()
	if selector.MatchLabels == nil {
		selector.MatchLabels = map[string]string{}
	}
	template := workload.Spec.Template.DeepCopy()
	if template.Labels == nil {
		template.Labels = map[string]string{}
	}
	for key, value := range canaryLabels(ro) {
		selector.MatchLabels[key] = value
		template.Labels[key] = value
	}
	template.Spec.ReadinessGates = append(template.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: v1alpha1.GateTraffic})
	labels := canaryLabels(ro)
	labels[managedBy] = manager
	none := int32(0)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: workload.Namespace, Name: workload.Name + canarySuffix, Labels: labels,
			Annotations:     map[string]string{v1alpha1.AnnotationTemplate: hash},
			OwnerReferences: []metav1.OwnerReference{ownerOf(ro)},
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: selector, Template: *template,
			MinReadySeconds: workload.Spec.MinReadySeconds, RevisionHistoryLimit: &none,
			// It has to be greater than MinReadySeconds.
			ProgressDeadlineSeconds: workload.Spec.ProgressDeadlineSeconds,
		},
	}
}

// serviceOf makes one arm's Service after the user's own.
func serviceOf(ro *v1alpha1.Rollout, user *corev1.Service, name string, more map[string]string) *corev1.Service {
	selector := map[string]string{}
	for key, value := range user.Spec.Selector {
		selector[key] = value
	}
	for key, value := range more {
		selector[key] = value
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: user.Namespace, Name: name, OwnerReferences: []metav1.OwnerReference{ownerOf(ro)},
			Labels: map[string]string{managedBy: manager, v1alpha1.LabelRollout: ro.Name},
		},
		Spec: corev1.ServiceSpec{Selector: selector},
	}
	for _, port := range user.Spec.Ports {
		port.NodePort = 0
		service.Spec.Ports = append(service.Spec.Ports, port)
	}
	return service
}

func ownerOf(ro *v1alpha1.Rollout) metav1.OwnerReference {
	return *metav1.NewControllerRef(ro, v1alpha1.GroupVersion.WithKind("Rollout"))
}
