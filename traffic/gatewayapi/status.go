package gatewayapi

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// accepted says whether every parent of a route has accepted its generation, by
// the conditions that the Gateway API defines for routes; if not, whether one has
// refused it, and what is waited for.
func accepted(namespace string, generation int64, parents []gatewayv1.ParentReference, statuses []gatewayv1.RouteParentStatus) (ok, refused bool, waits string) {
	if len(parents) == 0 {
		return false, true, "the route names no Gateway in spec.parentRefs"
	}
	for _, parent := range parents {
		refused, waits = false, name(parent)+" has not reported on the route yet"
		for _, status := range statuses {
			if !same(namespace, parent, status.ParentRef) {
				continue
			}
			if refused, waits = missing(generation, status); waits == "" {
				break
			}
		}
		if waits != "" {
			return false, refused, waits
		}
	}
	return true, false, ""
}

// missing is what one controller's report lacks, and whether that is its refusal.
func missing(generation int64, status gatewayv1.RouteParentStatus) (refused bool, waits string) {
	for _, kind := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
		condition := meta.FindStatusCondition(status.Conditions, string(kind))
		switch {
		case condition == nil || condition.ObservedGeneration < generation:
			return false, fmt.Sprintf("%s has not taken generation %d of the route yet", name(status.ParentRef), generation)
		case condition.Status != metav1.ConditionTrue:
			return condition.Status == metav1.ConditionFalse, fmt.Sprintf("%s says %s=%s (%s): %s", name(status.ParentRef), kind, condition.Status, condition.Reason, condition.Message)
		}
	}
	return false, ""
}

// same compares two references with the defaults that the API server fills in.
func same(namespace string, a, b gatewayv1.ParentReference) bool {
	return or(a.Group, gatewayv1.GroupName) == or(b.Group, gatewayv1.GroupName) &&
		or(a.Kind, "Gateway") == or(b.Kind, "Gateway") &&
		or(a.Namespace, gatewayv1.Namespace(namespace)) == or(b.Namespace, gatewayv1.Namespace(namespace)) &&
		a.Name == b.Name && or(a.SectionName, "") == or(b.SectionName, "") && or(a.Port, 0) == or(b.Port, 0)
}

// name is a parent for people.
func name(parent gatewayv1.ParentReference) string {
	text := fmt.Sprintf("%s %s", or(parent.Kind, "Gateway"), parent.Name)
	if parent.Namespace != nil {
		text = fmt.Sprintf("%s %s/%s", or(parent.Kind, "Gateway"), *parent.Namespace, parent.Name)
	}
	return text
}

func or[T any](value *T, absent T) T {
	if value == nil {
		return absent
	}
	return *value
}

// lastWriter is who changed a route's spec last, other than own, by the record
// that the API server keeps; empty where nobody did.
func lastWriter(own string, entries []metav1.ManagedFieldsEntry) string {
	var last metav1.ManagedFieldsEntry
	for _, entry := range entries {
		if entry.Manager == own || entry.Subresource != "" || entry.FieldsV1 == nil || !strings.Contains(entry.FieldsV1.GetRawString(), `"f:spec"`) {
			continue
		}
		if last.Time == nil || last.Time.Before(entry.Time) {
			last = entry
		}
	}
	return last.Manager
}
