package traffictest

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Accept is the part of a gateway's controller where none runs: it says in the
// status of a route that the Gateway "edge" takes its present generation.
func Accept(ctx context.Context, c client.Client, route *unstructured.Unstructured) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(route), route); err != nil {
			return err
		}
		condition := func(kind gatewayv1.RouteConditionType) any {
			return map[string]any{
				"type": string(kind), "status": "True", "reason": string(kind), "message": "",
				"lastTransitionTime": metav1.Now().Format(time.RFC3339), "observedGeneration": route.GetGeneration(),
			}
		}
		route.Object["status"] = map[string]any{"parents": []any{map[string]any{
			"controllerName": "example.org/gateway",
			"parentRef":      map[string]any{"group": gatewayv1.GroupName, "kind": "Gateway", "name": "edge"},
			"conditions":     []any{condition(gatewayv1.RouteConditionAccepted), condition(gatewayv1.RouteConditionResolvedRefs)},
		}}}
		return c.Status().Update(ctx, route)
	})
}
