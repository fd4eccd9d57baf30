// Package v1alpha1 holds Serin's custom resources, group serin.dev.
//
// +kubebuilder:object:generate=true
// +groupName=serin.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of the types here.
var GroupVersion = schema.GroupVersion{Group: "serin.dev", Version: "v1alpha1"}

// SchemeBuilder collects the types; AddToScheme adds them to a scheme.
var (
	SchemeBuilder = runtime.NewSchemeBuilder(func(scheme *runtime.Scheme) error {
		scheme.AddKnownTypes(GroupVersion,
			&Pipeline{}, &PipelineList{},
			&Release{}, &ReleaseList{},
			&Promotion{}, &PromotionList{},
			&Rollout{}, &RolloutList{},
			&AnalysisTemplate{}, &AnalysisTemplateList{},
			&ClusterAnalysisTemplate{}, &ClusterAnalysisTemplateList{},
			&AnalysisRun{}, &AnalysisRunList{},
		)
		metav1.AddToGroupVersion(scheme, GroupVersion)
		return nil
	})
	AddToScheme = SchemeBuilder.AddToScheme
)
