package rollout

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments/rollout"
)

// Values of the label serin.dev/hold on the workload.
const (
	// holdOn is at rest.
	holdOn = "true"
	// holdReleased tells the admission policy that it is Serin who lets a held
	// revision go: a manifest that replaces the whole Deployment, and so drops
	// spec.paused, cannot say so. It becomes holdOn again at rest.
	holdReleased = "released"
)

// held says that the admission policy paused the workload, and nobody resumed it
// since.
func held(d *appsv1.Deployment) bool {
	return d.Spec.Paused && d.Annotations[v1alpha1.AnnotationHeld] != ""
}

// labelledWell says that the workload bears its label, and no mark of a hold that
// is over.
func labelledWell(d *appsv1.Deployment) bool {
	value := d.Labels[v1alpha1.LabelHold]
	_, noted := d.Annotations[v1alpha1.AnnotationHeld]
	return value != "" && value != holdReleased && (!noted || d.Spec.Paused)
}

// marked says that the workload bears any mark of Serin.
func marked(d *appsv1.Deployment) bool {
	_, label := d.Labels[v1alpha1.LabelHold]
	_, note := d.Annotations[v1alpha1.AnnotationHeld]
	return label || note
}

// mark lets the admission policy hold new revisions.
func mark(d *appsv1.Deployment) {
	setLabel(d, v1alpha1.LabelHold, holdOn)
	if !d.Spec.Paused {
		delete(d.Annotations, v1alpha1.AnnotationHeld)
	}
}

// unhold lets a held revision go.
func unhold(d *appsv1.Deployment) {
	d.Spec.Paused = false
	delete(d.Annotations, v1alpha1.AnnotationHeld)
	setLabel(d, v1alpha1.LabelHold, holdReleased)
}

// unmark takes all marks off.
func unmark(d *appsv1.Deployment) {
	delete(d.Labels, v1alpha1.LabelHold)
	delete(d.Annotations, v1alpha1.AnnotationHeld)
}

func keepsNone(d *appsv1.Deployment) bool {
	return d.Spec.RevisionHistoryLimit != nil && *d.Spec.RevisionHistoryLimit == 0
}

// kept says whether stable's template can be read: from a ReplicaSet, or from
// the status where it was kept. Where the workload keeps no ReplicaSet it is
// brought along for keeping.
func kept(w *rollout.Workload, status rollout.Status, sets []appsv1.ReplicaSet) error {
	template, err := stableTemplate(status, sets)
	if err != nil || template == nil {
		return err
	}
	w.StableKept = true
	if !w.KeepsNone {
		return nil
	}
	text, err := json.Marshal(template)
	if err != nil {
		return fmt.Errorf("keep the template of stable: %w", err)
	}
	w.StableTemplate = string(text)
	return nil
}

// stableTemplate is the pod template of stable, nil where nobody has it.
func stableTemplate(status rollout.Status, sets []appsv1.ReplicaSet) (*corev1.PodTemplateSpec, error) {
	for i := range sets {
		template := sets[i].Spec.Template.DeepCopy()
		delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
		if same, err := isStable(status, template); err != nil || same {
			return template, err
		}
	}
	if status.StableTemplate == "" {
		return nil, nil
	}
	var template corev1.PodTemplateSpec
	if err := json.Unmarshal([]byte(status.StableTemplate), &template); err != nil {
		return nil, fmt.Errorf("read status.stableTemplate: %w", err)
	}
	if same, err := isStable(status, &template); err != nil || !same {
		return nil, err
	}
	return &template, nil
}

func isStable(status rollout.Status, template *corev1.PodTemplateSpec) (bool, error) {
	hash, err := hashOf(*template)
	return hash == status.Stable.TemplateHash, err
}
