package status

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestConditions(t *testing.T) {
	condition := func(kind string, value metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: kind, Status: value, ObservedGeneration: 7, Reason: "Why", Message: "what"}
	}
	tests := map[string]struct {
		set  func(*[]metav1.Condition, int64, string, string)
		want []metav1.Condition
	}{
		"ready":       {Ready, []metav1.Condition{condition("Ready", "True")}},
		"reconciling": {Reconciling, []metav1.Condition{condition("Ready", "Unknown"), condition("Reconciling", "True")}},
		"stalled":     {Stalled, []metav1.Condition{condition("Ready", "False"), condition("Stalled", "True")}},
		"failing":     {Failing, []metav1.Condition{condition("Ready", "False"), condition("Reconciling", "True")}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, before := range []func(*[]metav1.Condition, int64, string, string){Ready, Reconciling, Stalled, Failing} {
				var got []metav1.Condition
				before(&got, 6, "Before", "before")
				test.set(&got, 7, "Why", "what")
				less := func(a, b metav1.Condition) bool { return a.Type < b.Type }
				if diff := cmp.Diff(test.want, got, cmpopts.SortSlices(less), cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime")); diff != "" {
					t.Errorf("conditions (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestClipKeepsTextValid(t *testing.T) {
	got := clip(strings.Repeat("ä", 600), maxNote)
	if len(got) > maxNote || !utf8.ValidString(got) || !strings.HasSuffix(got, "...") {
		t.Errorf("clip gave %d bytes, valid %t", len(got), utf8.ValidString(got))
	}
	if got := clip("short", maxNote); got != "short" {
		t.Errorf("clip changed a short text to %q", got)
	}
}
