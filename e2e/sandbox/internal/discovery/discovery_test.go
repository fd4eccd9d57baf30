package discovery

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTargetGroups(t *testing.T) {
	pod := func(name, ip string, phase corev1.PodPhase, annotations map[string]string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Annotations: annotations, Labels: map[string]string{
				"app": "web", "pod-template-hash": "abc", "serin.dev/role": "canary", "team": "x",
			}},
			Spec:   corev1.PodSpec{NodeName: "serin", Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{ContainerPort: 80}, {ContainerPort: 81}}}}},
			Status: corev1.PodStatus{PodIP: ip, Phase: phase},
		}
	}
	scrape := map[string]string{annotationScrape: "true", annotationPort: "9102", annotationPath: "/m"}
	pods := []*corev1.Pod{
		pod("b", "10.78.0.2", corev1.PodRunning, scrape),
		pod("a", "10.78.0.1", corev1.PodRunning, map[string]string{annotationScrape: "true"}),
		pod("pending", "", corev1.PodPending, scrape),
		pod("silent", "10.78.0.3", corev1.PodRunning, nil),
	}
	services := []*corev1.Service{{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Annotations: map[string]string{annotationScrape: "true"}}}}
	port := int32(80)
	endpoints := []*discoveryv1.EndpointSlice{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		Ports:      []discoveryv1.EndpointPort{{Port: &port}},
		Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"10.78.0.3"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "silent"}}},
	}}
	with := func(pod, job string, more map[string]string) map[string]string {
		all := map[string]string{"job": job, "namespace": "shop", "pod": pod, "node": "serin", "app": "web", "pod_template_hash": "abc", "serin_dev_role": "canary"}
		for key, value := range more {
			all[key] = value
		}
		return all
	}
	want := []targetGroup{
		{Targets: []string{"10.78.0.1:80", "10.78.0.1:81"}, Labels: with("a", "pods", nil)},
		{Targets: []string{"10.78.0.2:9102"}, Labels: with("b", "pods", map[string]string{"__metrics_path__": "/m"})},
		{Targets: []string{"10.78.0.3:80"}, Labels: with("silent", "services", map[string]string{"service": "web"})},
	}
	if diff := cmp.Diff(want, targetGroups(pods, services, endpoints)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
