// Package admission refuses, at the API server, what no trial could be judged
// by: queries that do not parse, expressions that do not compile, placeholders
// that nothing fills in; and two Rollouts of one workload. It runs the same
// checks as the start of a trial. The API server asks it by webhook, and takes
// what is written where Serin does not answer: then the Rollout's conditions say
// the same.
package admission

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/analysisrun"
	"github.com/serin-gitops/serin/controllers/analysisrun/checks"
)

// Paths that are served; config/admission/validate.yaml names them.
const (
	PathRollouts         = "/validate/rollouts"
	PathTemplates        = "/validate/analysistemplates"
	PathClusterTemplates = "/validate/clusteranalysistemplates"
)

// Validator says what is wrong with objects.
type Validator struct {
	// Reader reads templates and Rollouts, from caches.
	Reader client.Reader
	// Inspect says what is wrong with the queries of a check.
	Inspect checks.Inspect
}

// Handler serves the paths to the API server.
func (v *Validator) Handler(scheme *runtime.Scheme, log logr.Logger) (*http.ServeMux, error) {
	mux := http.NewServeMux()
	for path, hook := range map[string]*admission.Webhook{
		PathRollouts:         admission.WithValidator[*v1alpha1.Rollout](scheme, rollouts{v}),
		PathTemplates:        admission.WithValidator[*v1alpha1.AnalysisTemplate](scheme, templates[*v1alpha1.AnalysisTemplate]{v}),
		PathClusterTemplates: admission.WithValidator[*v1alpha1.ClusterAnalysisTemplate](scheme, templates[*v1alpha1.ClusterAnalysisTemplate]{v}),
	} {
		handler, err := admission.StandaloneWebhook(hook, admission.StandaloneOptions{Logger: log, MetricsPath: path})
		if err != nil {
			return nil, fmt.Errorf("admission %s: %w", path, err)
		}
		mux.Handle(path, handler)
	}
	return mux, nil
}

// rollouts validates Rollouts.
type rollouts struct{ *Validator }

// ValidateCreate implements admission.Validator.
func (v rollouts) ValidateCreate(ctx context.Context, ro *v1alpha1.Rollout) (admission.Warnings, error) {
	warnings, err := v.analysis(ctx, ro)
	return warnings, refusal("Rollout", ro, errors.Join(err, v.alone(ctx, ro)))
}

// ValidateUpdate implements admission.Validator. What was taken before is not
// refused because something else is changed, such as a finaliser.
func (v rollouts) ValidateUpdate(ctx context.Context, before, ro *v1alpha1.Rollout) (admission.Warnings, error) {
	var warnings admission.Warnings
	var errs []error
	if ro.DeletionTimestamp != nil {
		return nil, nil
	}
	if !equality.Semantic.DeepEqual(before.Spec.Analysis, ro.Spec.Analysis) {
		var err error
		warnings, err = v.analysis(ctx, ro)
		errs = append(errs, err)
	}
	if before.Spec.WorkloadRef != ro.Spec.WorkloadRef {
		errs = append(errs, v.alone(ctx, ro))
	}
	return warnings, refusal("Rollout", ro, errors.Join(errs...))
}

// ValidateDelete implements admission.Validator.
func (rollouts) ValidateDelete(context.Context, *v1alpha1.Rollout) (admission.Warnings, error) {
	return nil, nil
}

// analysis runs what the start of a trial runs. A template that is not there yet
// may be applied next, so that it is only warned of.
func (v rollouts) analysis(ctx context.Context, ro *v1alpha1.Rollout) (admission.Warnings, error) {
	var warnings admission.Warnings
	template := analysisrun.Templates(ctx, v.Reader, ro.Namespace)
	there := ro.DeepCopy()
	there.Spec.Analysis.Templates = slices.DeleteFunc(there.Spec.Analysis.Templates, func(ref v1alpha1.TemplateReference) bool {
		_, err := template(ref)
		if apierrors.IsNotFound(err) {
			warnings = append(warnings, fmt.Sprintf("spec.analysis.templates: there is no %s %s yet: a trial waits for it", kindOf(ref), ref.Name))
		}
		return apierrors.IsNotFound(err)
	})
	return warnings, analysisrun.Verify(there, template, v.Inspect)
}

func kindOf(ref v1alpha1.TemplateReference) string {
	if ref.Kind == "" {
		return v1alpha1.KindAnalysisTemplate
	}
	return ref.Kind
}

// alone says whether another Rollout has the workload.
func (v rollouts) alone(ctx context.Context, ro *v1alpha1.Rollout) error {
	var list v1alpha1.RolloutList
	if err := v.Reader.List(ctx, &list, client.InNamespace(ro.Namespace)); err != nil {
		return fmt.Errorf("list the Rollouts of namespace %s: %w", ro.Namespace, err)
	}
	for _, other := range list.Items {
		if other.Name != ro.Name && other.Spec.WorkloadRef == ro.Spec.WorkloadRef {
			return fmt.Errorf("spec.workloadRef: %s %s has the Rollout %s already: change that one, or delete it first",
				ro.Spec.WorkloadRef.Kind, ro.Spec.WorkloadRef.Name, other.Name)
		}
	}
	return nil
}

// templates validates AnalysisTemplates and ClusterAnalysisTemplates.
type templates[T interface {
	client.Object
	*v1alpha1.AnalysisTemplate | *v1alpha1.ClusterAnalysisTemplate
}] struct{ *Validator }

// ValidateCreate implements admission.Validator.
func (v templates[T]) ValidateCreate(_ context.Context, object T) (admission.Warnings, error) {
	kind, spec := specOf(object)
	return nil, refusal(kind, object, analysisrun.VerifyTemplate(spec, v.Inspect))
}

// ValidateUpdate implements admission.Validator.
func (v templates[T]) ValidateUpdate(ctx context.Context, before, object T) (admission.Warnings, error) {
	_, was := specOf(before)
	if _, is := specOf(object); object.GetDeletionTimestamp() != nil || equality.Semantic.DeepEqual(was, is) {
		return nil, nil
	}
	return v.ValidateCreate(ctx, object)
}

// ValidateDelete implements admission.Validator.
func (templates[T]) ValidateDelete(context.Context, T) (admission.Warnings, error) {
	return nil, nil
}

func specOf(object any) (kind string, spec v1alpha1.AnalysisTemplateSpec) {
	switch template := object.(type) {
	case *v1alpha1.AnalysisTemplate:
		return v1alpha1.KindAnalysisTemplate, template.Spec
	case *v1alpha1.ClusterAnalysisTemplate:
		return v1alpha1.KindClusterAnalysisTemplate, template.Spec
	}
	return "", v1alpha1.AnalysisTemplateSpec{}
}

func refusal(kind string, object client.Object, err error) error {
	if err == nil {
		return nil
	}
	name := object.GetName()
	if object.GetNamespace() != "" {
		name = object.GetNamespace() + "/" + name
	}
	return fmt.Errorf("%s %s: %w", kind, name, err)
}
