// Package discovery finds what Prometheus scrapes in the cluster.
package discovery

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

// Annotations by which pods and Services ask to be scraped, as is common usage.
const (
	annotationScrape = "prometheus.io/scrape"
	annotationPort   = "prometheus.io/port"
	annotationPath   = "prometheus.io/path"
	annotationScheme = "prometheus.io/scheme"
)

// targetGroup is an entry of a Prometheus file_sd file.
// https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// targetGroups finds what Prometheus scrapes in the cluster, in a stable order.
func targetGroups(pods []*corev1.Pod, services []*corev1.Service, endpoints []*discoveryv1.EndpointSlice) []targetGroup {
	groups := []targetGroup{} // an empty file_sd file is [], not null
	byName := map[string]*corev1.Pod{}
	for _, pod := range pods {
		byName[pod.Namespace+"/"+pod.Name] = pod
		if group, ok := podTargets(pod); ok {
			groups = append(groups, group)
		}
	}
	for _, service := range services {
		if service.Annotations[annotationScrape] != "true" {
			continue
		}
		for _, slice := range endpoints {
			if slice.Namespace == service.Namespace && slice.Labels[discoveryv1.LabelServiceName] == service.Name {
				groups = append(groups, serviceTargets(service, slice, byName)...)
			}
		}
	}
	slices.SortFunc(groups, func(a, b targetGroup) int {
		return cmp.Or(cmp.Compare(a.Labels["job"], b.Labels["job"]), slices.Compare(a.Targets, b.Targets), cmp.Compare(a.Labels["service"], b.Labels["service"]))
	})
	return groups
}

// podTargets are the ports of an annotated, running pod: the annotated one, else
// every port its containers declare.
func podTargets(pod *corev1.Pod) (targetGroup, bool) {
	if pod.Annotations[annotationScrape] != "true" || pod.Status.PodIP == "" || pod.Status.Phase != corev1.PodRunning {
		return targetGroup{}, false
	}
	var ports []string
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			ports = append(ports, strconv.Itoa(int(port.ContainerPort)))
		}
	}
	if port := pod.Annotations[annotationPort]; port != "" {
		ports = []string{port}
	}
	group := targetGroup{Labels: podLabels(pod)}
	group.Labels["job"] = "pods"
	setEndpoint(group.Labels, pod.Annotations)
	for _, port := range ports {
		group.Targets = append(group.Targets, net.JoinHostPort(pod.Status.PodIP, port))
	}
	return group, len(group.Targets) > 0
}

// serviceTargets are the endpoints of an annotated Service, with the labels of
// the pods behind them.
func serviceTargets(service *corev1.Service, slice *discoveryv1.EndpointSlice, pods map[string]*corev1.Pod) []targetGroup {
	var ports []string
	for _, port := range slice.Ports {
		if port.Port != nil {
			ports = append(ports, strconv.Itoa(int(*port.Port)))
		}
	}
	if port := service.Annotations[annotationPort]; port != "" {
		ports = []string{port}
	}
	var groups []targetGroup
	for _, endpoint := range slice.Endpoints {
		group := targetGroup{Labels: map[string]string{}}
		if ref := endpoint.TargetRef; ref != nil && ref.Kind == "Pod" && pods[ref.Namespace+"/"+ref.Name] != nil {
			group.Labels = podLabels(pods[ref.Namespace+"/"+ref.Name])
		}
		group.Labels["job"], group.Labels["namespace"], group.Labels["service"] = "services", service.Namespace, service.Name
		setEndpoint(group.Labels, service.Annotations)
		for _, address := range endpoint.Addresses {
			for _, port := range ports {
				group.Targets = append(group.Targets, net.JoinHostPort(address, port))
			}
		}
		if len(group.Targets) > 0 {
			groups = append(groups, group)
		}
	}
	return groups
}

// podLabels are the labels a pod's series carry.
func podLabels(pod *corev1.Pod) map[string]string {
	found := map[string]string{"namespace": pod.Namespace, "pod": pod.Name, "node": pod.Spec.NodeName}
	clean := strings.NewReplacer(".", "_", "/", "_", "-", "_")
	for key, value := range pod.Labels {
		if key == "app" || key == "pod-template-hash" || strings.HasPrefix(key, "serin.dev/") {
			found[clean.Replace(key)] = value
		}
	}
	return found
}

// setEndpoint sets path and scheme of a target when annotations name them.
func setEndpoint(set, annotations map[string]string) {
	if path := annotations[annotationPath]; path != "" {
		set["__metrics_path__"] = path
	}
	if scheme := annotations[annotationScheme]; scheme != "" {
		set["__scheme__"] = scheme
	}
}

// Serve keeps a Prometheus file_sd file in step with the cluster until
// ctx ends. It is what the part "discovery" of the sandbox does.
func Serve(ctx context.Context, kubeconfig, file string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods()
	services := factory.Core().V1().Services()
	endpoints := factory.Discovery().V1().EndpointSlices()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // a change is noted already
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { notify() }, UpdateFunc: func(_, _ any) { notify() }, DeleteFunc: func(any) { notify() },
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), services.Informer(), endpoints.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	notify()
	return keepTargets(ctx, changed, file, func() ([]targetGroup, error) {
		allPods, err := pods.Lister().List(labels.Everything())
		if err != nil {
			return nil, err
		}
		allServices, err := services.Lister().List(labels.Everything())
		if err != nil {
			return nil, err
		}
		allEndpoints, err := endpoints.Lister().List(labels.Everything())
		return targetGroups(allPods, allServices, allEndpoints), err
	})
}

// keepTargets writes the file after a change, at most five times a second and
// only when its content differs.
func keepTargets(ctx context.Context, changed <-chan struct{}, file string, list func() ([]targetGroup, error)) error {
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	var written []byte
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		groups, err := list()
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(groups, "", "  ")
		if err != nil {
			return err
		}
		if !bytes.Equal(text, written) {
			if err := layout.WriteFile(file, text, 0o644); err != nil {
				return err
			}
			written = text
		}
		select {
		case <-ctx.Done():
			return nil
		case <-pace.C:
		}
	}
}
