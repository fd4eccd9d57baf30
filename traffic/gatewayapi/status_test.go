package gatewayapi

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func report(parent gatewayv1.ParentReference, generation int64, accepted, resolved metav1.ConditionStatus) gatewayv1.RouteParentStatus {
	condition := func(kind gatewayv1.RouteConditionType, status metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: string(kind), Status: status, ObservedGeneration: generation, Reason: "Because", Message: "of the test"}
	}
	return gatewayv1.RouteParentStatus{ParentRef: parent, Conditions: []metav1.Condition{
		condition(gatewayv1.RouteConditionAccepted, accepted), condition(gatewayv1.RouteConditionResolvedRefs, resolved),
	}}
}

func TestAccepted(t *testing.T) {
	const yes, no = metav1.ConditionTrue, metav1.ConditionFalse
	inner := gatewayv1.ParentReference{Name: "inner"}
	outer := gatewayv1.ParentReference{Name: "outer", Namespace: new(gatewayv1.Namespace("edge")), SectionName: new(gatewayv1.SectionName("https"))}
	full := gatewayv1.ParentReference{
		Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: new(gatewayv1.Kind("Gateway")), Namespace: new(gatewayv1.Namespace("shop")), Name: "inner",
	}
	tests := []struct {
		name     string
		parents  []gatewayv1.ParentReference
		statuses []gatewayv1.RouteParentStatus
		waits    string
		refused  bool
	}{
		{"no parent", nil, nil, "names no Gateway", true},
		{"nobody has reported", []gatewayv1.ParentReference{inner}, nil, "Gateway inner has not reported", false},
		{"another's report", []gatewayv1.ParentReference{outer}, []gatewayv1.RouteParentStatus{report(inner, 7, yes, yes)}, "Gateway edge/outer has not reported", false},
		{"an older generation", []gatewayv1.ParentReference{inner}, []gatewayv1.RouteParentStatus{report(inner, 6, yes, yes)}, "has not taken generation 7", false},
		{"refused", []gatewayv1.ParentReference{inner}, []gatewayv1.RouteParentStatus{report(inner, 7, no, yes)}, "Accepted=False (Because): of the test", true},
		{"a backend is missing", []gatewayv1.ParentReference{inner}, []gatewayv1.RouteParentStatus{report(inner, 7, yes, no)}, "ResolvedRefs=False", true},
		{"accepted", []gatewayv1.ParentReference{inner}, []gatewayv1.RouteParentStatus{report(inner, 7, yes, yes)}, "", false},
		{"defaults written out are the same parent", []gatewayv1.ParentReference{inner}, []gatewayv1.RouteParentStatus{report(full, 7, yes, yes)}, "", false},
		{"one of two controllers is enough", []gatewayv1.ParentReference{inner},
			[]gatewayv1.RouteParentStatus{report(inner, 7, no, yes), report(inner, 7, yes, yes)}, "", false},
		{"every parent has to", []gatewayv1.ParentReference{inner, outer},
			[]gatewayv1.RouteParentStatus{report(inner, 7, yes, yes), report(outer, 6, yes, yes)}, "Gateway edge/outer has not taken generation 7", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ok, refused, waits := accepted("shop", 7, test.parents, test.statuses)
			if ok != (test.waits == "") || refused != test.refused || !strings.Contains(waits, test.waits) {
				t.Errorf("accepted: %v, refused: %v (want %v), waits for %q, want %q", ok, refused, test.refused, waits, test.waits)
			}
		})
	}
}

func TestLastWriter(t *testing.T) {
	entry := func(manager, subresource string, minute int, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Manager: manager, Subresource: subresource, Time: &metav1.Time{Time: time.Date(2024, 1, 1, 0, minute, 0, 0, time.UTC)},
			FieldsV1: metav1.NewFieldsV1(fields),
		}
	}
	const spec = `{"f:spec":{"f:rules":{}}}`
	got := lastWriter(FieldOwner, []metav1.ManagedFieldsEntry{
		entry("kubectl", "", 1, spec), entry("argocd", "", 3, spec), entry(FieldOwner, "", 9, spec),
		entry("gateway", "status", 9, `{"f:status":{}}`), entry("labeller", "", 9, `{"f:metadata":{}}`),
	})
	if got != "argocd" {
		t.Errorf("the last writer is %q, want argocd", got)
	}
	if got := lastWriter(FieldOwner, []metav1.ManagedFieldsEntry{entry(FieldOwner, "", 9, spec)}); got != "" {
		t.Errorf("the last writer is %q, want nobody", got)
	}
}
