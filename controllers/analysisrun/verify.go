package analysisrun

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/analysisrun/checks"
)

// defaultAlpha is that of the API, for objects stored before it was known.
const defaultAlpha = "0.01"

// Verify says what is wrong with a Rollout's analysis as the start of a trial
// would find it: templates, arguments, numbers, queries and expressions.
func Verify(ro *v1alpha1.Rollout, template checks.Template, inspect checks.Inspect) error {
	resolved, err := checks.Resolve(ro, template)
	if err != nil {
		return err
	}
	if err := checks.Verify(resolved, checks.Known(Args(ro)), inspect); err != nil {
		return err
	}
	_, err = checks.Spec(ro, alphaOf(ro), resolved)
	return err
}

// Accept says what is wrong with a Rollout's analysis before there is a trial.
func (a *Analyst) Accept(ctx context.Context, ro *v1alpha1.Rollout) error {
	return Verify(ro, Templates(ctx, a.Client, ro.Namespace), a.Inspect)
}

// VerifyTemplate says what is wrong with a template whatever Rollout uses it.
func VerifyTemplate(spec v1alpha1.AnalysisTemplateSpec, inspect checks.Inspect) error {
	return checks.VerifyTemplate(spec, checks.Known(Args(&v1alpha1.Rollout{})), inspect)
}

// Templates reads the templates that a Rollout of a namespace refers to.
func Templates(ctx context.Context, reader client.Reader, namespace string) checks.Template {
	return func(ref v1alpha1.TemplateReference) (v1alpha1.AnalysisTemplateSpec, error) {
		if ref.Kind == v1alpha1.KindClusterAnalysisTemplate {
			var template v1alpha1.ClusterAnalysisTemplate
			err := reader.Get(ctx, client.ObjectKey{Name: ref.Name}, &template)
			return template.Spec, err
		}
		var template v1alpha1.AnalysisTemplate
		err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &template)
		return template.Spec, err
	}
}

func alphaOf(ro *v1alpha1.Rollout) string {
	if ro.Spec.Analysis.Alpha == "" {
		return defaultAlpha
	}
	return ro.Spec.Analysis.Alpha
}
